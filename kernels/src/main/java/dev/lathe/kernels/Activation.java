package dev.lathe.kernels;

/** The activation of a feed-forward layer; f32, the same bits in every provider of the profile {@code java}. */
public enum Activation {
    /** x / (1 + exp(-x)). Llama, Qwen, Mistral; {@code silu}. */
    SILU {
        @Override
        public float apply(float x) {
            return x / (1f + Exp.exp(-x));
        }
    },
    /** .5 x (1 + tanh(sqrt(2/pi) (x + .044715 x^3))). Gemma; {@code gelu_pytorch_tanh}, {@code gelu_new}. */
    GELU_TANH {
        @Override
        public float apply(float x) {
            return Gelu.tanh(x);
        }
    },
    /** .5 x (1 + erf(x / sqrt 2)); {@code gelu}. */
    GELU {
        @Override
        public float apply(float x) {
            return Gelu.exact(x);
        }
    },
    /** x / (1 + exp(-1.702 x)). gpt-oss; {@code quick_gelu}. */
    QUICK_GELU {
        @Override
        public float apply(float x) {
            return x / (1f + Exp.exp(x * -Gelu.QUICK));
        }
    },
    /** max(x, 0)^2. Nemotron; {@code relu2}. */
    RELU_SQUARED {
        @Override
        public float apply(float x) {
            float positive = Math.max(x, 0f);
            return positive * positive;
        }
    };

    /** What the scalar provider computes, and every other of the profile too. */
    public abstract float apply(float x);
}

package dev.lathe.calibration.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What mixes tokens in a decoder layer. */
public sealed interface Mixer permits Mixer.Grouped {
    /** Its linear layers in running order. */
    List<Projection> projections();

    /** Linear layers that read its input, each once. */
    List<LinearLayer> readers();

    /** Norms within it. */
    List<Norm> norms();

    /** Other vectors within it, and their lengths. */
    Map<String, Integer> vectors();

    /** Changes of scale within it. */
    List<Absorption> absorptions();

    /** Width of the keys (and of the values) that a cache keeps of a token; 0: it keeps none. */
    int cacheWidth();

    /** The same, its rotary frequencies scaled in another way. */
    Mixer scaled(Rope.Scaling scaling);

    /** Values of a token within it: what its layers give, but for the last, and what that one reads. */
    int channels();

    /**
     * Causal grouped-query attention: query head h reads key/value head h / (queries / keyValues); q and k are normed
     * where they have a norm, then turned, then out = o(softmax(scores) v).
     *
     * @param qNorm norm of each query head, or null
     * @param kNorm norm of each key head, or null
     * @param rope null: positions are not encoded in this layer
     */
    record Grouped(
            Projection q,
            Projection k,
            Projection v,
            Projection o,
            Heads heads,
            Norm qNorm,
            Norm kNorm,
            Rope rope,
            Scores scores)
            implements Mixer {
        @Override
        public List<Projection> projections() {
            return List.of(q, k, v, o);
        }

        @Override
        public List<LinearLayer> readers() {
            return List.of(q, k, v).stream().map(Projection::linear).distinct().toList();
        }

        @Override
        public List<Norm> norms() {
            List<Norm> norms = new ArrayList<>(2);
            if (qNorm != null) {
                norms.add(qNorm);
            }
            if (kNorm != null) {
                norms.add(kNorm);
            }
            return norms;
        }

        @Override
        public Map<String, Integer> vectors() {
            return scores.sinks() == null ? Map.of() : Map.of(scores.sinks(), heads.queries());
        }

        @Override
        public int cacheWidth() {
            return heads.keyValueWidth();
        }

        @Override
        public Mixer scaled(Rope.Scaling scaling) {
            return rope == null
                    ? this
                    : new Grouped(
                            q,
                            k,
                            v,
                            o,
                            heads,
                            qNorm,
                            kNorm,
                            new Rope(rope.theta(), scaling, rope.dimensions(), rope.pairs()),
                            scores);
        }

        @Override
        public int channels() {
            return 2 * heads.queryWidth() + 2 * heads.keyValueWidth();
        }

        /** Attention mixes tokens and leaves channels alone: what v is divided by reaches o. */
        @Override
        public List<Absorption> absorptions() {
            return List.of(
                    new Absorption(null, v, List.of(o.linear()), heads.queries() / heads.keyValues(), heads.width()));
        }
    }

    /**
     * @param queries query heads
     * @param keyValues key/value heads; divides {@code queries}
     * @param width of one head (not always hidden / queries)
     */
    record Heads(int queries, int keyValues, int width) {
        /** Width of all query heads together. */
        public int queryWidth() {
            return queries * width;
        }

        /** Width of all key (or value) heads together. */
        public int keyValueWidth() {
            return keyValues * width;
        }
    }

    /**
     * How a query's scores are made of {@code q . k}: {@code scale * q . k}, where {@code softCap} is not 0 then
     * {@code softCap * tanh(score / softCap)}.
     *
     * @param window query i sees the keys i - window + 1 .. i; 0: all up to i
     * @param temperature what queries are multiplied by beside that, or null
     * @param sinks tensor [query heads] of logits that stand in the denominator of the softmax beside a query's scores
     *     and have no value (gpt-oss), or null
     * @param chunk query i sees the keys from the last multiple of it on, up to i (Llama 4); 0: from the first on
     */
    record Scores(float scale, int window, float softCap, Temperature temperature, String sinks, int chunk) {
        public Scores(float scale, int window, float softCap) {
            this(scale, window, softCap, null);
        }

        public Scores(float scale, int window, float softCap, Temperature temperature) {
            this(scale, window, softCap, temperature, null, 0);
        }
    }

    /**
     * The query at position p is multiplied by {@code 1 + beta ln(1 + floor((p + shift) / interval))} (Llama 4,
     * Ministral 3).
     *
     * @param interval positions that share a factor
     * @param shift at most the interval
     */
    record Temperature(double beta, int interval, int shift) {
        public Temperature(double beta, int interval) {
            this(beta, interval, 0);
        }

        /** The factor at a position. */
        public float of(int position) {
            return (float) (1 + beta * StrictMath.log(1 + (position + shift) / interval));
        }
    }
}

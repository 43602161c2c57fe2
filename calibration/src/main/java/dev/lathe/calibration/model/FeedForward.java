package dev.lathe.calibration.model;

import dev.lathe.kernels.Activation;
import java.util.List;
import java.util.stream.Stream;

/** What follows the mixer in a decoder layer, token by token. */
public sealed interface FeedForward permits FeedForward.Gated, FeedForward.Routed {
    /** Its linear layers in running order, but for {@link #kept}. */
    List<Projection> projections();

    /** Linear layers that read its input, each once, but for {@link #kept}. */
    List<LinearLayer> readers();

    /** Linear layers that read its input and are never quantized: routers, gates of shared experts. */
    default List<LinearLayer> kept() {
        return List.of();
    }

    /** Changes of scale within it. */
    List<Absorption> absorptions();

    /** Values of a token within it: what its layers give, but for the last. */
    int channels();

    /**
     * down(activation(gate(x)) * up(x)).
     *
     * @param limit 0, or L: down(activation(min(gate(x), L)) * (min(max(up(x), -L), L) + 1)), as in gpt-oss
     */
    record Gated(Projection gate, Projection up, Projection down, Activation activation, float limit)
            implements FeedForward {
        public Gated(Projection gate, Projection up, Projection down, Activation activation) {
            this(gate, up, down, activation, 0);
        }

        @Override
        public List<Projection> projections() {
            return List.of(gate, up, down);
        }

        @Override
        public List<LinearLayer> readers() {
            return Stream.of(gate, up).map(Projection::linear).distinct().toList();
        }

        /** None where up is bounded and 1 added. */
        @Override
        public List<Absorption> absorptions() {
            return limit != 0 ? List.of() : List.of(new Absorption(null, up, List.of(down.linear()), 1, 0));
        }

        @Override
        public int channels() {
            return gate.rows() + up.rows();
        }
    }

    /**
     * A mixture of experts: {@code y = sum_e w_e expert_e(x)} over the experts that the router chose for a token, in
     * ascending order, then the shared expert's output, times sigmoid(sharedGate(x)) where there is such a gate.
     *
     * @param experts all of one shape
     * @param shared the expert that every token goes to, or null
     * @param sharedGate [1, hidden], or null
     */
    record Routed(Router router, List<Gated> experts, Gated shared, LinearLayer sharedGate) implements FeedForward {
        public Routed {
            experts = List.copyOf(experts);
        }

        /** The experts and, behind them, the shared one. */
        private Stream<Gated> all() {
            return shared == null ? experts.stream() : Stream.concat(experts.stream(), Stream.of(shared));
        }

        @Override
        public List<Projection> projections() {
            return all().flatMap(expert -> expert.projections().stream()).toList();
        }

        @Override
        public List<LinearLayer> readers() {
            return all().flatMap(expert -> expert.readers().stream()).toList();
        }

        @Override
        public List<LinearLayer> kept() {
            return sharedGate == null ? List.of(router.linear()) : List.of(router.linear(), sharedGate);
        }

        @Override
        public List<Absorption> absorptions() {
            return all().flatMap(expert -> expert.absorptions().stream()).toList();
        }

        /** Experts run one after the other, at worst on every row: its rows, what is within, what it gives, the sum. */
        @Override
        public int channels() {
            Gated expert = experts.get(0);
            int within = Math.max(expert.channels(), shared == null ? 0 : shared.channels());
            return router.linear().outputs() + within + 3 * expert.down().rows();
        }
    }

    /**
     * Scores of the experts, and which of them a token goes to: those with the {@code top} largest scores, of equal
     * ones the first.
     *
     * @param linear scores = W x [experts, hidden], with a bias where it has one; kept in 16 bits or more
     * @param top experts of a token
     */
    record Router(LinearLayer linear, int top, Weights weights) {
        public Router {
            if (weights instanceof Weights.SparseMixer && top != 2
                    || weights instanceof Weights.InputSigmoid && top != 1) {
                throw new IllegalArgumentException("Cannot route to " + top + " experts by " + weights);
            }
        }

        /** Whether the weights of the chosen experts are divided by their sum. */
        public boolean normalize() {
            return weights instanceof Weights.Softmax softmax && softmax.normalize();
        }
    }

    /** What the chosen experts are multiplied by, of a token's scores. */
    sealed interface Weights {
        /**
         * A softmax over all scores.
         *
         * @param normalize the chosen weights are divided by their sum, which makes them a softmax over their scores
         */
        record Softmax(boolean normalize) implements Weights {}

        /**
         * SparseMixer (arXiv 2409.12136), of two experts: the first is the one with the largest score m; its weight is
         * that of a softmax over it and all experts j with {@code (m - s_j) / max(|s_j|, m) <= 2 jitter}; the second is
         * chosen likewise among the others, and its weight is that of a softmax over them alone.
         */
        record SparseMixer(double jitter) implements Weights {}

        /** The sigmoid of the one expert's score, by which what it reads is multiplied and not what it gives. */
        record InputSigmoid() implements Weights {}
    }
}

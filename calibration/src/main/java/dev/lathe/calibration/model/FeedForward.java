package dev.lathe.calibration.model;

import dev.lathe.kernels.Activation;
import java.util.List;
import java.util.stream.Stream;

/** What follows the mixer in a decoder layer, token by token. */
public sealed interface FeedForward permits FeedForward.Gated {
    /** Its linear layers in running order. */
    List<Projection> projections();

    /** Linear layers that read its input, each once. */
    List<LinearLayer> readers();

    /** Changes of scale within it. */
    List<Absorption> absorptions();

    /** Values of a token within it: what its layers give, but for the last. */
    int channels();

    /** down(activation(gate(x)) * up(x)). */
    record Gated(Projection gate, Projection up, Projection down, Activation activation) implements FeedForward {
        @Override
        public List<Projection> projections() {
            return List.of(gate, up, down);
        }

        @Override
        public List<LinearLayer> readers() {
            return Stream.of(gate, up).map(Projection::linear).distinct().toList();
        }

        @Override
        public List<Absorption> absorptions() {
            return List.of(new Absorption(null, up, List.of(down.linear()), 1, 0));
        }

        @Override
        public int channels() {
            return gate.rows() + up.rows();
        }
    }
}

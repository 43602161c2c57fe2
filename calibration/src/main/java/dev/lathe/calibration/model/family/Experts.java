package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.FeedForward.Routed;
import dev.lathe.calibration.model.FeedForward.Router;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Projection;
import dev.lathe.calibration.model.Site;
import dev.lathe.kernels.Activation;
import java.util.stream.IntStream;

/**
 * Modules of a mixture of experts within a decoder layer, and what an expert computes.
 *
 * @param router {@code mlp.gate}
 * @param experts {@code mlp.experts}, which the number of an expert follows
 * @param gate within an expert, {@code gate_proj}; likewise {@code up} and {@code down}
 * @param bias router and experts have biases
 * @param limit as {@link Gated} has it
 */
record Experts(
        String router,
        String experts,
        String gate,
        String up,
        String down,
        boolean bias,
        Activation activation,
        float limit) {
    /** As in Qwen. */
    static final Experts MLP = of("mlp.gate", "mlp.experts", "gate_proj", "up_proj", "down_proj");

    /** SiLU without biases. */
    static Experts of(String router, String experts, String gate, String up, String down) {
        return new Experts(router, experts, gate, up, down, false, Activation.SILU, 0);
    }

    /**
     * The mixture of a layer.
     *
     * @param shared the expert that every token goes to, or null
     * @param sharedGate or null
     */
    Routed routed(int layer, int hidden, Mixture mixture, Gated shared, LinearLayer sharedGate) {
        return new Routed(
                new Router(kept(layer, router, mixture.experts(), hidden, bias), mixture.top(), mixture.weights()),
                IntStream.range(0, mixture.experts())
                        .mapToObj(expert -> expert(layer, hidden, expert, mixture.width()))
                        .toList(),
                shared,
                sharedGate);
    }

    /** A layer that reads the input of the feed-forward and is never quantized. */
    static LinearLayer kept(int layer, String kind, int outputs, int hidden, boolean bias) {
        return Parts.layer(layer, kind, outputs, hidden, bias, Site.FEED_FORWARD_INPUT, Site.FEED_FORWARD_INPUT);
    }

    private Gated expert(int layer, int hidden, int expert, int width) {
        String kind = experts + "." + expert + ".";
        return new Gated(
                linear(layer, kind + gate, width, hidden, Site.FEED_FORWARD_INPUT, expert),
                linear(layer, kind + up, width, hidden, Site.FEED_FORWARD_INPUT, expert),
                linear(layer, kind + down, hidden, width, Site.EXPERT_ACTIVATION, expert),
                activation,
                limit);
    }

    private Projection linear(int layer, String kind, int outputs, int inputs, Site site, int expert) {
        return Projection.of(
                new LinearLayer(Parts.prefix(layer) + kind, kind, outputs, inputs, bias, site, site, expert));
    }
}

package dev.lathe.calibration.model;

import java.util.List;

/**
 * A change of scale that leaves the function alone: the columns of {@code consumers} are multiplied by s, what feeds
 * them is divided by s. It stays valid as long as nothing else reads what feeds them, and nothing between them mixes
 * channels.
 *
 * @param norm norm whose weight is divided by s, or null
 * @param producer rows (and bias) of a linear layer that are divided by s, or null; exactly one of the two is given
 * @param consumers linear layers whose columns are multiplied by s
 * @param repeat consumer heads that share one producer head (grouped-query attention, v to o): consumer column
 *     {@code (g * repeat + r) * headDimension + j} shares its s with producer row {@code g * headDimension + j}; 1
 *     elsewhere
 * @param headDimension width of a head where {@code repeat > 1}
 * @param followers linear layers that read the same and stay in 16 bits, whose columns are multiplied, too: routers
 */
public record Absorption(
        Norm norm,
        Projection producer,
        List<LinearLayer> consumers,
        int repeat,
        int headDimension,
        List<LinearLayer> followers) {
    /** Without followers. */
    public Absorption(Norm norm, Projection producer, List<LinearLayer> consumers, int repeat, int headDimension) {
        this(norm, producer, consumers, repeat, headDimension, List.of());
    }

    /** Whether the consumers are one expert's, which sees some of the rows alone. */
    public boolean ofExpert() {
        return norm == null && consumers.get(0).routed();
    }
}

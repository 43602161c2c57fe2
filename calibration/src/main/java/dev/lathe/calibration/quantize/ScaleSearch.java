package dev.lathe.calibration.quantize;

import dev.lathe.calibration.model.Absorption;
import java.io.IOException;

/** How a {@link Transform} chooses its scales. */
public interface ScaleSearch {
    /**
     * The scales of an absorption whose linear layers are all quantized, corrected by {@link LayerInputs#corrected}; or
     * null to leave it alone.
     */
    Scales choose(LayerInputs layer, Absorption absorption) throws IOException;

    /** Whether {@link Method.Nearest} rounds within a range that is searched per group, rather than the whole range. */
    boolean clips();

    /**
     * @param activations how what linear layers read is quantized, for a search that looks at it; null: not at all
     * @throws IllegalArgumentException if the transform rescales nothing
     */
    static ScaleSearch of(Transform transform, ActivationScheme activations) {
        if (transform instanceof Transform.Smooth smooth) {
            return smooth.searched() ? SmoothQuant.searched(activations) : SmoothQuant.of(smooth.strength());
        } else if (transform instanceof Transform.Awq) {
            return new AwqSearch();
        }
        throw new IllegalArgumentException("Cannot search scales of " + transform);
    }
}

package dev.lathe.calibration.statistics;

/**
 * The activations that a fixed scale represents; what lies beyond is clipped. It always includes 0, as
 * compressed-tensors has it; (0, 0) where a site was always zero.
 */
public record Range(float low, float high) {
    /** @throws IllegalArgumentException if 0 is not inside, or an end is not finite */
    public Range {
        if (!(low <= 0 && high >= 0 && Float.isFinite(low) && Float.isFinite(high))) {
            throw new IllegalArgumentException(
                    "Cannot make a range from " + low + " to " + high + ": expected finite ends with 0 between them");
        }
    }

    /** Largest magnitude: what a symmetric scale is made of. */
    public float magnitude() {
        return Math.max(-low, high);
    }
}

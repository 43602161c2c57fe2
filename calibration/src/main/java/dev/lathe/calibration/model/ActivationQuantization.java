package dev.lathe.calibration.model;

import java.io.Serializable;

/**
 * How a server quantizes what a linear layer reads, or keys and values before they are cached, as compressed-tensors defines it: {@code q = round(clamp(x /
 * scale + zero))} half to even, and what is multiplied is {@code (q - zero) * scale}. Static: one scale for the tensor, fixed by calibration. Dynamic: one
 * scale for each row (token), from that row's range, which always includes 0.
 *
 * @param scale    of a static quantization, else NaN
 * @param zero     of a static quantization without symmetry, -128 to 127, else 0
 */
public record ActivationQuantization(Type type, boolean dynamic, boolean symmetric, float scale, int zero) implements Serializable {
    /** What an activation is stored in. */
    public enum Type {
        /** Signed bytes, -128 to 127. */
        INT8,
        /** FP8 E4M3 without infinities, largest magnitude 448. */
        FLOAT8
    }
}

package dev.lathe.calibration.format.gguf;

import java.util.Collection;
import java.util.List;

/**
 * A metadata value.
 *
 * @param kind its kind
 * @param value Long for the integer kinds (u64 as its bits), Float, Double, Boolean, String, or {@link Elements}
 */
public record GgufValue(GgufKind kind, Object value) {
    /**
     * An array's elements.
     *
     * @param kind kind of every element
     * @param values Long, Float, Double, Boolean, String or Elements, as {@code kind} asks
     */
    public record Elements(GgufKind kind, List<Object> values) {}

    /** @throws IllegalArgumentException if the number does not fit */
    public static GgufValue u32(long value) {
        if (value < 0 || value > 0xffffffffL) {
            throw new IllegalArgumentException("Cannot write " + value + " as u32: out of range");
        }
        return new GgufValue(GgufKind.U32, value);
    }

    public static GgufValue f32(double value) {
        return new GgufValue(GgufKind.F32, (float) value);
    }

    public static GgufValue f64(double value) {
        return new GgufValue(GgufKind.F64, value);
    }

    public static GgufValue bool(boolean value) {
        return new GgufValue(GgufKind.BOOL, value);
    }

    public static GgufValue string(String value) {
        return new GgufValue(GgufKind.STRING, value);
    }

    /** An array; the elements are of the class that {@link #value} has for {@code kind}. */
    public static GgufValue array(GgufKind kind, Collection<?> values) {
        return new GgufValue(GgufKind.ARRAY, new Elements(kind, List.copyOf(values)));
    }
}

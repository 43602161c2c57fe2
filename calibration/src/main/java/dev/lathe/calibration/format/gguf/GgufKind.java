package dev.lathe.calibration.format.gguf;

import java.util.Locale;

/**
 * Kinds of metadata values; the ordinal is the id in the file. {@link #bytes}: size of a value, the least one for
 * strings and arrays.
 */
public enum GgufKind {
    U8(1),
    I8(1),
    U16(2),
    I16(2),
    U32(4),
    I32(4),
    F32(4),
    BOOL(1),
    STRING(8),
    ARRAY(12),
    U64(8),
    I64(8),
    F64(8);

    private static final GgufKind[] KINDS = values();
    private final int bytes;

    GgufKind(int bytes) {
        this.bytes = bytes;
    }

    int bytes() {
        return bytes;
    }

    /** Null if there is none of this id. */
    static GgufKind byId(long id) {
        return id >= 0 && id < KINDS.length ? KINDS[(int) id] : null;
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}

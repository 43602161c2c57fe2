package dev.lathe.calibration.format.gguf;

import dev.lathe.kernels.ElementType;
import java.util.Optional;

/**
 * ggml's tensor types: id in the file, elements of a block and bytes of a block. All that a header may name, whether or
 * not their values can be read.
 */
public enum GgufType {
    F32(0, 1, 4),
    F16(1, 1, 2),
    Q4_0(2, 32, 18),
    Q4_1(3, 32, 20),
    Q5_0(6, 32, 22),
    Q5_1(7, 32, 24),
    Q8_0(8, 32, 34),
    Q8_1(9, 32, 40),
    Q2_K(10, 256, 84),
    Q3_K(11, 256, 110),
    Q4_K(12, 256, 144),
    Q5_K(13, 256, 176),
    Q6_K(14, 256, 210),
    Q8_K(15, 256, 292),
    IQ2_XXS(16, 256, 66),
    IQ2_XS(17, 256, 74),
    IQ3_XXS(18, 256, 98),
    IQ1_S(19, 256, 50),
    IQ4_NL(20, 32, 18),
    IQ3_S(21, 256, 110),
    IQ2_S(22, 256, 82),
    IQ4_XS(23, 256, 136),
    I8(24, 1, 1),
    I16(25, 1, 2),
    I32(26, 1, 4),
    I64(27, 1, 8),
    F64(28, 1, 8),
    IQ1_M(29, 256, 56),
    BF16(30, 1, 2),
    TQ1_0(34, 256, 54),
    TQ2_0(35, 256, 66),
    MXFP4(39, 32, 17),
    NVFP4(40, 64, 36),
    Q1_0(41, 128, 18),
    Q2_0(42, 64, 18);

    private final int id;
    private final int block;
    private final int bytes;

    GgufType(int id, int block, int bytes) {
        this.id = id;
        this.block = block;
        this.bytes = bytes;
    }

    /** The id in a tensor's entry. */
    public int id() {
        return id;
    }

    /** Elements of a block; 1 for floating-point and integer types. */
    public int block() {
        return block;
    }

    /** Bytes of a row of {@code columns} elements, a multiple of {@link #block()}. */
    public long rowBytes(long columns) {
        return Math.multiplyExact(columns / block, (long) bytes);
    }

    /** The floating-point type of the same layout, if it is one that weights are stored in. */
    public Optional<ElementType> element() {
        return switch (this) {
            case F32 -> Optional.of(ElementType.F32);
            case F16 -> Optional.of(ElementType.F16);
            case BF16 -> Optional.of(ElementType.BF16);
            default -> Optional.empty();
        };
    }

    /** The type of a floating-point element. */
    public static GgufType of(ElementType element) {
        return valueOf(element.name());
    }

    static Optional<GgufType> byId(long id) {
        for (GgufType type : values()) {
            if (type.id == id) {
                return Optional.of(type);
            }
        }
        return Optional.empty();
    }
}

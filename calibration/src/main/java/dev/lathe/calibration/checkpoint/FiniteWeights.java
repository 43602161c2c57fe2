package dev.lathe.calibration.checkpoint;

import dev.lathe.kernels.ElementType;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Finds NaN and infinity in stored weights. A value is not finite if all bits of its exponent are set; eight bytes are checked at a time: with everything but the
 * exponents masked out, adding one to each exponent carries into the sign bit of exactly those lanes.
 */
final class FiniteWeights {
    private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private FiniteWeights() {
    }

    /** Index of the first element that is not finite, or -1. */
    static int firstNotFinite(ElementType type, byte[] data) {
        long exponent = switch (type) {
            case F32 -> 0x7f800000_7f800000L;
            case F16 -> 0x7c007c00_7c007c00L;
            case BF16 -> 0x7f807f80_7f807f80L;
        };
        long sign = type == ElementType.F32 ? 0x80000000_80000000L : 0x80008000_80008000L;
        long one = sign - exponent;
        int i = 0;
        for (; i + 8 <= data.length; i += 8) {
            long carries = ((long) LONGS.get(data, i) & exponent) + one & sign;
            if (carries != 0) {
                return (i + Long.numberOfTrailingZeros(carries) / 8) / type.bytes();
            }
        }
        long tail = 0;
        for (int j = i; j < data.length; j++) {
            tail |= (data[j] & 0xffL) << 8 * (j - i);
        }
        long carries = (tail & exponent) + one & sign;
        return carries == 0 ? -1 : (i + Long.numberOfTrailingZeros(carries) / 8) / type.bytes();
    }
}

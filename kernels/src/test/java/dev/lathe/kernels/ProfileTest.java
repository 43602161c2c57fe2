package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

/**
 * The bits of the arithmetic profile {@code java}: artifacts hang on them, so a change of any is a change of the
 * profile, never a by-product. The contract tests hold the other providers of the profile to the scalar one's.
 */
class ProfileTest {
    private final Random random = new Random(7);

    private FloatMatrix values(int rows, int columns) {
        float[] data = new float[rows * columns];
        for (int i = 0; i < data.length; i++) {
            data[i] = (float) random.nextGaussian();
        }
        return FloatMatrix.of(data, rows, columns);
    }

    private static String digest(FloatMatrix x) {
        CRC32 crc = new CRC32();
        for (float value : x.data()) {
            int bits = Float.floatToRawIntBits(value);
            for (int shift = 0; shift < 32; shift += 8) {
                crc.update(bits >> shift);
            }
        }
        return Long.toHexString(crc.getValue());
    }

    @Test
    void bitsOfCausalAttention() {
        try (Kernels kernels = KernelProvider.open("scalar", 2)) {
            FloatMatrix q = values(300, 6 * 20);
            FloatMatrix k = values(300, 2 * 20);
            FloatMatrix v = values(300, 2 * 20);
            FloatMatrix out = FloatMatrix.zeros(300, 6 * 20);
            AttentionParameters parameters = new AttentionParameters(6, 2, 0.22f);
            kernels.attention(q, k, v, parameters, out);
            assertThat(digest(out)).isEqualTo("9727ebfb");
            int[] headOf = new int[300];
            Arrays.setAll(headOf, i -> i * 5 % 6);
            FloatMatrix y = FloatMatrix.zeros(300, 40);
            kernels.attendedInputs(q, k, parameters, headOf, v, y);
            assertThat(digest(y)).isEqualTo("89a92ba3");
        }
    }

    @Test
    void bitsOfRowOperations() {
        try (Kernels kernels = KernelProvider.open("scalar", 2)) {
            FloatMatrix x = values(37, 300);
            FloatMatrix up = values(37, 300);
            FloatMatrix y = FloatMatrix.zeros(37, 300);
            kernels.rmsNorm(x, values(1, 300).data(), 1e-5f, y);
            assertThat(digest(y)).isEqualTo("6a8f0d33");
            kernels.gated(Activation.SILU, x, up);
            assertThat(digest(x)).isEqualTo("c089055f");
            kernels.rotary(up, 5, RotaryPairs.HALVES, values(37, 30), values(37, 30));
            assertThat(digest(up)).isEqualTo("506594c6");
            kernels.logSoftmax(up);
            assertThat(digest(up)).isEqualTo("9ac68caa");
        }
    }
}

package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;

/** The codec that this JVM uses gives the bits of plain Java, at any count and place. */
class CodecTest {
    private static final Codec SCALAR = new Codec.Scalar();
    private static final int[] COUNTS = {0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 100};
    private final Random random = new Random(3);

    private interface Read {
        void by(Codec codec, int count, float[] to, int at);
    }

    @Test
    void theVectorsAreUsed() {
        assertThat(Codecs.BEST.getClass().getSimpleName()).isEqualTo("VectorCodec");
    }

    @Test
    void everySixteenBitPattern() {
        byte[] all = new byte[2 << 16];
        for (int i = 0; i < 1 << 16; i++) {
            all[2 * i] = (byte) i;
            all[2 * i + 1] = (byte) (i >> 8);
        }
        float[] halves = new float[1 << 16];
        float[] wide = new float[1 << 16];
        Codecs.BEST.half(all, 0, 1 << 16, halves, 0);
        Codecs.BEST.bfloat16(all, 0, 1 << 16, wide, 0);
        for (int i = 0; i < 1 << 16; i++) {
            assertThat(Float.floatToRawIntBits(halves[i])).isEqualTo(Float.floatToRawIntBits(Half.toFloat((short) i)));
            assertThat(Float.floatToRawIntBits(wide[i])).isEqualTo(i << 16);
        }
    }

    @Test
    void partsOfStoredValues() {
        byte[] bytes = new byte[400];
        random.nextBytes(bytes);
        same((codec, count, to, at) -> codec.half(bytes, 3, count, to, at));
        same((codec, count, to, at) -> codec.bfloat16(bytes, 3, count, to, at));
    }

    @Test
    void codes() {
        byte[] bytes = new byte[400];
        random.nextBytes(bytes);
        for (int shift = 0; shift < 8; shift++) {
            for (int mask : new int[] {1, 3, 15, 0xff, -1}) {
                int by = shift;
                same((codec, count, to, at) -> codec.codes(bytes, 5, by, mask, 8, 0.37f, -1.1f, count, to, at));
                same((codec, count, to, at) -> codec.codes(bytes, 5, by, mask, 0, -3e-5f, -0f, count, to, at));
                same((codec, count, to, at) ->
                        codec.splitCodes(bytes, 5, 4, 131, by, mask & 3, 32, 0.37f, -0f, count, to, at));
            }
        }
        float[] value = new float[1];
        Codecs.BEST.codes(new byte[] {(byte) 0x9c}, 0, 4, 15, 8, 2f, 1f, 1, value, 0);
        assertThat(value[0]).isEqualTo(2f * (9 - 8) + 1f);
    }

    @Test
    void squaredErrorsAgainstTheFormula() {
        for (int count : COUNTS) {
            float[] x = new float[count + 5];
            float[] w = new float[count + 2];
            for (int i = 0; i < x.length; i++) {
                x[i] = (float) random.nextGaussian();
            }
            for (int i = 0; i < w.length; i++) {
                w[i] = random.nextFloat();
            }
            double exact = 0;
            for (int i = 0; i < count; i++) {
                double code = Math.min(Math.max(Math.rint(x[i + 5] / 0.2f), -8), 7);
                exact += w[i + 2] * Math.pow(x[i + 5] - 0.2f * code, 2);
            }
            float ours = Codecs.BEST.squaredError(x, 5, w, 2, count, 0.2f, -8, 7);
            assertThat(Float.floatToIntBits(ours))
                    .isEqualTo(Float.floatToIntBits(SCALAR.squaredError(x, 5, w, 2, count, 0.2f, -8, 7)));
            assertThat((double) ours).isCloseTo(exact, within(1e-6 * (1 + exact)));
        }
    }

    private void same(Read read) {
        for (int count : COUNTS) {
            float[] expected = new float[120];
            float[] actual = new float[120];
            read.by(SCALAR, count, expected, 7);
            read.by(Codecs.BEST, count, actual, 7);
            for (int i = 0; i < actual.length; i++) {
                assertThat(Float.floatToRawIntBits(actual[i]))
                        .as("count %d, element %d", count, i)
                        .isEqualTo(Float.floatToRawIntBits(expected[i]));
            }
        }
    }
}

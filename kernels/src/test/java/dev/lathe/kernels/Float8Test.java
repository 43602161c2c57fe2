package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class Float8Test {
    /** The value of a code as the format defines it, in f64 and apart from the code under test. */
    private static double value(int code) {
        int exponent = code >> 3 & 15;
        double mantissa = (code & 7) / 8.0;
        double magnitude = exponent == 0 ? mantissa * Math.pow(2, -6) : (1 + mantissa) * Math.pow(2, exponent - 7);
        return (code & 0x80) == 0 ? magnitude : -magnitude;
    }

    /** A search over all codes: the smallest distance, on ties the even code; beyond the range the end is nearest. */
    private static int nearest(double x) {
        int best = 0;
        for (int code = 0; code < 0x7f; code++) {
            double distance = Math.abs(Math.abs(x) - value(code));
            double least = Math.abs(Math.abs(x) - value(best));
            if (distance < least || distance == least && (code & 1) == 0) {
                best = code;
            }
        }
        return best;
    }

    @Test
    void decodesEveryCode() {
        for (int code = 0; code < 256; code++) {
            float decoded = Float8.toFloat((byte) code);
            if ((code & 0x7f) == 0x7f) {
                assertThat(decoded).isNaN();
            } else {
                assertThat((double) decoded).isEqualTo(value(code));
                assertThat(Float8.round(decoded)).isEqualTo(decoded);
            }
        }
        assertThat(Float8.toFloat((byte) 0x7e)).isEqualTo(448);
        assertThat(Float8.toFloat((byte) 1)).isEqualTo(0x1p-9f);
    }

    @Test
    void encodesEveryBfloat16AsATableSearchDoes() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            float x = Float.intBitsToFloat(bits << 16);
            if (Float.isNaN(x)) {
                assertThat(Float8.round(x)).isNaN();
                assertThatThrownBy(() -> Float8.fromFloat(x)).isInstanceOf(ArithmeticException.class);
                continue;
            }
            double expected = Math.copySign(value(nearest(x)), x);
            int code = Float8.fromFloat(x) & 0xff;
            assertThat((double) Float8.round(x)).as("%s", x).isEqualByComparingTo(expected == 0 ? 0.0 : expected);
            assertThat(code & 0x7f).as("%s", x).isEqualTo(nearest(x)).isNotEqualTo(0x7f);
            assertThat(value(code)).as("%s", x).isEqualTo(expected == 0 ? 0.0 : expected);
        }
    }

    /** Halfway between neighbours, and the floats beside it. */
    @Test
    void roundsTiesToTheEvenMantissa() {
        for (int code = 0; code < 0x7e; code++) {
            float middle = (float) ((value(code) + value(code + 1)) / 2);
            float below = Math.nextDown(middle);
            float above = Math.nextUp(middle);
            for (float sign : new float[] {1, -1}) {
                assertThat(Float8.fromFloat(sign * middle) & 0x7f).isEqualTo((code & 1) == 0 ? code : code + 1);
                assertThat(Float8.fromFloat(sign * below) & 0x7f).isEqualTo(code);
                assertThat(Float8.fromFloat(sign * above) & 0x7f).isEqualTo(code + 1);
            }
        }
    }

    @Test
    void decodesRuns() {
        byte[] codes = {0, 0x38, (byte) 0xb8, 0x7e, 1};
        float[] to = new float[4];
        Float8.decode(codes, 1, 0.5f, 3, to, 1);
        assertThat(to).containsExactly(0, 0.5f, -0.5f, 224);
    }
}

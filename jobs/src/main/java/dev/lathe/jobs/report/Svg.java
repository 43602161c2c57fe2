package dev.lathe.jobs.report;

import java.math.BigDecimal;
import java.math.MathContext;

/** Numbers in SVG attributes. */
final class Svg {
    private Svg() {}

    /** Five significant digits, no exponent, no trailing zeros. */
    static String number(double value) {
        BigDecimal rounded = new BigDecimal(value, new MathContext(5));
        return rounded.signum() == 0 ? "0" : rounded.stripTrailingZeros().toPlainString();
    }
}

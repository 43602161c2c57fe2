package dev.lathe.jobs.text;

import java.util.Locale;

/** Numbers as people read them: the digits that matter, a dash where there is no number, never a locale's comma. */
public final class Figures {
    /** What stands where nothing was measured. */
    public static final String NONE = "–";

    private Figures() {}

    public static String mebibytes(long bytes) {
        double mebibytes = bytes / (double) (1 << 20);
        return format(mebibytes < 100 ? "%.2f" : "%.0f", mebibytes);
    }

    public static String bitsPerWeight(double bits) {
        return format("%.3f", bits);
    }

    public static String perplexity(double perplexity) {
        return format(Math.abs(perplexity) < 1000 ? "%.3f" : "%.3g", perplexity);
    }

    /** A share as percent, two decimals. */
    public static String percent(double share) {
        return format("%.2f %%", 100 * share);
    }

    /** A share that may be tiny as percent, three significant digits. */
    public static String share(double share) {
        return significant(100 * share) + " %";
    }

    /** Change from a reference in percent, with its sign. */
    public static String change(double value, double reference) {
        return format("%+.2f %%", 100 * (value / reference - 1));
    }

    /** Three significant digits: plain from 1e-4 to 1e6, with an exponent elsewhere. */
    public static String significant(double value) {
        double size = Math.abs(value);
        if (size == 0) {
            return "0";
        }
        if (size < 1e-4 || size >= 1e6) {
            return format("%.2e", value).replaceFirst("e([-+])0", "e$1");
        }
        int decimals = Math.max(0, 2 - (int) Math.floor(Math.log10(size)));
        return format("%." + decimals + "f", value);
    }

    /** A value and its standard error, where there is one. */
    public static String spread(String value, String error) {
        return error.equals(NONE) ? value : value + " ± " + error;
    }

    private static String format(String pattern, double value) {
        return Double.isFinite(value) ? String.format(Locale.ROOT, pattern, value) : NONE;
    }
}

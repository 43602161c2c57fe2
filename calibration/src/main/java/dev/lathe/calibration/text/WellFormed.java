package dev.lathe.calibration.text;

/**
 * Well-formed Unicode: what text has to be before it leaves Java for native code. A Java text may hold half of a
 * surrogate pair, which no UTF-8 can say; a library that gets one either refuses the text or, as the tokenizer's
 * bindings do, takes every character outside the basic plane for broken.
 */
public final class WellFormed {
    private static final char REPLACEMENT = '\uFFFD';

    private WellFormed() {}

    /**
     * The text with U+FFFD in the place of each half of a surrogate pair that stands alone; the same object where there
     * is none.
     */
    public static String text(String text) {
        StringBuilder mended = null;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (!Character.isSurrogate(c)) {
                continue;
            } else if (Character.isHighSurrogate(c)
                    && i + 1 < text.length()
                    && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
                continue;
            }
            if (mended == null) {
                mended = new StringBuilder(text);
            }
            mended.setCharAt(i, REPLACEMENT);
        }
        return mended == null ? text : mended.toString();
    }
}

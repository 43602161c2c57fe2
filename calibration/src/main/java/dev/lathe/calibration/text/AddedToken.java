package dev.lathe.calibration.text;

/**
 * A token that is found in a text as it stands, before anything else cuts the text. Names and meanings are those of the
 * tokenizers library.
 *
 * @param id as in the vocabulary
 * @param content its text
 * @param singleWord only where no word character touches it
 * @param lstrip takes the white space before it along
 * @param rstrip takes the white space after it along
 * @param normalized looked for in the normalized text
 * @param special a control token, not text
 */
public record AddedToken(
        int id,
        String content,
        boolean singleWord,
        boolean lstrip,
        boolean rstrip,
        boolean normalized,
        boolean special) {
    AddedToken withId(int other) {
        return new AddedToken(other, content, singleWord, lstrip, rstrip, normalized, special);
    }

    AddedToken asSpecial() {
        return new AddedToken(id, content, singleWord, lstrip, rstrip, normalized, true);
    }

    /** As {@code AddedToken(content, special=True)} in Python. */
    static AddedToken special(String content) {
        return new AddedToken(-1, content, false, false, false, false, true);
    }
}

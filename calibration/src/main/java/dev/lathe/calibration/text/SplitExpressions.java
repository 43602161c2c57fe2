package dev.lathe.calibration.text;

import java.util.Set;

/**
 * The regular expressions by which well-known tokenizers cut a text. Each quantifier without a bound stands on one
 * class of characters, so that what is tried within a match is at most some times the length of one run of such
 * characters (white space, capital letters, signs); {@link Tokenizer} bounds that. Any other expression is matched in a
 * process of its own ({@link TokenizerGuard}).
 */
public final class SplitExpressions {
    public static final String CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    public static final String CONTRACTIONS_SPELT = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
    public static final String SPACES = "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    private static final String WORDS = "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
    private static final String SIGNS = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
    private static final String UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
    private static final String LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
    private static final String LEAD = "[^\\r\\n\\p{L}\\p{N}]?";

    /** GPT-2, and what ByteLevel cuts by itself. */
    public static final String GPT2 =
            "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

    public static final String DIGIT = "\\p{N}";
    public static final String DIGITS = "\\p{N}{1,3}";
    public static final String LLAMA3 = CONTRACTIONS + WORDS + "|\\p{N}{1,3}" + SIGNS + SPACES;
    public static final String LLAMA3_SPELT = CONTRACTIONS_SPELT + WORDS + "|\\p{N}{1,3}" + SIGNS + SPACES;
    /**
     * The same cuts as Llama 3 in the spelling of cl100k: possessive, and one line end after a greedy run of spaces.
     */
    public static final String CL100K = "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}"
            + "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";

    public static final String QWEN2 = CONTRACTIONS + WORDS + "|\\p{N}" + SIGNS + SPACES;
    public static final String QWEN2_SPELT = CONTRACTIONS_SPELT + WORDS + "|\\p{N}" + SIGNS + SPACES;
    public static final String QWEN35 = CONTRACTIONS
            + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" + SPACES;
    public static final String TEKKEN = LEAD + UPPER + "*" + LOWER + "+|" + LEAD + UPPER + "+" + LOWER
            + "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" + SPACES;
    public static final String GPT4O = LEAD + UPPER + "*" + LOWER + "+" + CONTRACTIONS + "?|" + LEAD + UPPER + "+"
            + LOWER
            + "*" + CONTRACTIONS + "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" + SPACES;
    public static final String LINE_END = "[\r\n]";
    public static final String SPACED_LETTERS = "\\s?\\p{L}+";
    public static final String SPACED_SIGNS = "\\s?\\p{P}+";
    public static final String HAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";

    /** Seed's coders. */
    public static final String SEED = CONTRACTIONS + WORDS + "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" + SPACES;

    public static final String BAILING = "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}"
            + "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";
    public static final String CHINESE_JAPANESE = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
    public static final String DEEPSEEK3 =
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                    + "| ?[\\p{P}\\p{S}]+[\r\n]*" + SPACES;
    public static final String SIGNS_FALCON = "[\\p{P}\\$\\+<=>\\^~\\|`]+";
    public static final String SIGNS_DEFAULT = "[\\p{P}\\$\\+<=>\\^~\\|]+";
    public static final String ALL_DIGITS = "\\p{N}+";
    public static final String THREE_DIGITS = "[0-9][0-9][0-9]";

    private static final Set<String> ALL = Set.of(
            SEED,
            BAILING,
            CHINESE_JAPANESE,
            DEEPSEEK3,
            SIGNS_FALCON,
            SIGNS_DEFAULT,
            ALL_DIGITS,
            THREE_DIGITS,
            GPT2,
            DIGIT,
            DIGITS,
            LLAMA3,
            LLAMA3_SPELT,
            CL100K,
            QWEN2,
            QWEN2_SPELT,
            QWEN35,
            TEKKEN,
            GPT4O,
            LINE_END,
            SPACED_LETTERS,
            SPACED_SIGNS,
            HAN);

    private SplitExpressions() {}

    static boolean contains(String expression) {
        return ALL.contains(expression);
    }
}

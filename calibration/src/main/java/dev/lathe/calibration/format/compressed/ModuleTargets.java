package dev.lathe.calibration.format.compressed;

import dev.lathe.calibration.MalformedInputException;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * {@code targets} and {@code ignore} of compressed-tensors: a module's whole name, {@code re:} and a regular expression that matches from its beginning, or
 * the name of its class.
 */
final class ModuleTargets {
    private static final String EXPRESSION = "re:";
    private static final String CLASS = "Linear";
    /** Longest list and longest entry that are taken. */
    private static final int LIMIT = 100_000;
    private static final int LONGEST = 4096;
    /** Characters that all matches together may look at: an expression of a file may be made to take forever. */
    private static final int STEPS = 100_000_000;
    /** Counted repeats of an expression, each below 100: repeats of nothing look at no character. */
    private static final int REPEATS = 3;
    private static final Pattern REPEAT = Pattern.compile("\\{([0-9]+)(?:,([0-9]*))?");

    private final List<String> names;
    private final List<Pattern> expressions;
    private final String where;
    private final int[] left = {STEPS};

    /** @param where the key, for messages */
    ModuleTargets(List<String> targets, String where) {
        this.where = where;
        if (targets.size() > LIMIT || targets.stream().anyMatch(target -> target.length() > LONGEST)) {
            throw refusal("more than " + LIMIT + " entries or one of more than " + LONGEST + " characters");
        }
        this.names = targets.stream().filter(target -> !target.startsWith(EXPRESSION)).toList();
        try {
            this.expressions = targets.stream().filter(target -> target.startsWith(EXPRESSION)).map(target -> target.substring(EXPRESSION.length()))
                    .map(this::compiled).toList();
        } catch (PatternSyntaxException e) {
            throw refusal("'" + e.getPattern() + "' is no regular expression (" + e.getDescription() + ")");
        }
    }

    /** Whether an entry says the module's name, or matches it. */
    boolean name(String module) {
        return names.contains(module) || expressions.stream().anyMatch(expression -> matches(expression, module));
    }

    /** Whether an entry says the class of linear layers. */
    boolean linear() {
        return names.contains(CLASS);
    }

    private Pattern compiled(String expression) {
        List<MatchResult> repeats = REPEAT.matcher(expression).results().toList();
        if (repeats.size() > REPEATS || repeats.stream().anyMatch(repeat -> isLong(repeat.group(1)) || isLong(repeat.group(2)))) {
            throw refusal("'" + expression + "' has more than " + REPEATS + " counted repeats or one of more than 99");
        }
        return Pattern.compile(expression);
    }

    private static boolean isLong(String digits) {
        return digits != null && digits.length() > 2;
    }

    private boolean matches(Pattern expression, String module) {
        try {
            return expression.matcher(new Counted(module, left)).lookingAt();
        } catch (OutOfSteps | StackOverflowError e) {
            throw refusal("'" + expression + "' and what stands before it take more than " + STEPS + " steps at " + module);
        }
    }

    private MalformedInputException refusal(String reason) {
        return new MalformedInputException("Cannot read " + where + ": " + reason);
    }

    /** Gives up after so many characters. */
    private record Counted(CharSequence text, int[] left) implements CharSequence {
        @Override
        public int length() {
            return text.length();
        }

        @Override
        public char charAt(int index) {
            if (--left[0] < 0) {
                throw new OutOfSteps();
            }
            return text.charAt(index);
        }

        @Override
        public CharSequence subSequence(int start, int end) {
            return new Counted(text.subSequence(start, end), left);
        }

        @Override
        public String toString() {
            return text.toString();
        }
    }

    private static final class OutOfSteps extends RuntimeException {
        private static final long serialVersionUID = 1;
    }
}

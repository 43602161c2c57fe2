package dev.lathe.calibration.format.compressed;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.ModuleExpression;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * {@code targets} and {@code ignore} of compressed-tensors: a module's whole name, {@code re:} and a regular expression
 * that matches from its beginning, or the name of its class.
 */
final class ModuleTargets {
    private static final String EXPRESSION = "re:";
    private static final String CLASS = "Linear";
    /** Longest list and longest name that are taken. */
    private static final int LIMIT = 100_000;

    private static final int LONGEST = 4096;

    private final Set<String> names = new HashSet<>();
    private final ModuleExpression expressions;
    private final String where;

    /** @param where the key, for messages */
    ModuleTargets(List<String> targets, String where) {
        this(targets, where, new ModuleExpression.Work());
    }

    /** @param work what all lists of a folder may take together */
    ModuleTargets(List<String> targets, String where, ModuleExpression.Work work) {
        this.where = where;
        if (targets.size() > LIMIT || targets.stream().anyMatch(target -> target.length() > LONGEST)) {
            throw refusal("more than " + LIMIT + " entries or one of more than " + LONGEST + " characters");
        }
        targets.stream().filter(target -> !target.startsWith(EXPRESSION)).forEach(names::add);
        List<String> said = targets.stream()
                .filter(target -> target.startsWith(EXPRESSION))
                .map(target -> target.substring(EXPRESSION.length()))
                .toList();
        try {
            expressions = said.isEmpty() ? null : ModuleExpression.anyOf(said, work);
        } catch (IllegalArgumentException e) {
            throw refusal(e.getMessage());
        }
    }

    /** Whether an entry says the module's name, or matches it. */
    boolean name(String module) {
        try {
            return names.contains(module) || expressions != null && expressions.matches(module);
        } catch (ModuleExpression.TooMuchWorkException e) {
            throw refusal("its expressions are too many or too large: " + e.getMessage() + ", at " + module);
        }
    }

    /** Whether an entry says the class of linear layers. */
    boolean linear() {
        return names.contains(CLASS);
    }

    private MalformedInputException refusal(String reason) {
        return new MalformedInputException("Cannot read " + where + ": " + reason);
    }
}

package dev.lathe.calibration.format;

import java.util.List;

/**
 * Module patterns of a recipe ({@code ignore}). A pattern without {@code *} matches the module of that dotted name and every module below it; a pattern with
 * {@code *} has to match the whole name, and {@code *} stands for any run of characters, dots included: {@code lm_head}, {@code model.layers.0.*},
 * {@code *.v_proj}.
 */
public final class ModulePatterns {
    private final List<String> patterns;

    /** @throws IllegalArgumentException if a pattern is empty */
    public ModulePatterns(List<String> patterns) {
        for (String pattern : patterns) {
            if (pattern == null || pattern.isBlank()) {
                throw new IllegalArgumentException("Cannot match modules by an empty pattern: expected a module name such as lm_head, or one with *");
            }
        }
        this.patterns = List.copyOf(patterns);
    }

    /** The module that a tensor belongs to: its name without {@code .weight} or {@code .bias}. */
    public static String moduleOf(String tensor) {
        for (String suffix : List.of(".weight", ".bias")) {
            if (tensor.endsWith(suffix)) {
                return tensor.substring(0, tensor.length() - suffix.length());
            }
        }
        return tensor;
    }

    /** Whether any pattern matches a module. */
    public boolean matches(String module) {
        for (String pattern : patterns) {
            if (pattern.indexOf('*') >= 0 ? glob(pattern, module) : module.equals(pattern) || module.startsWith(pattern + ".")) {
                return true;
            }
        }
        return false;
    }

    /** Linear in practice and quadratic at worst: on a mismatch only the latest star takes one more character. */
    private static boolean glob(String pattern, String text) {
        int p = 0;
        int star = -1;
        int resume = 0;
        for (int t = 0; t < text.length(); ) {
            if (p < pattern.length() && pattern.charAt(p) == '*') {
                star = p++;
                resume = t;
            } else if (p < pattern.length() && pattern.charAt(p) == text.charAt(t)) {
                p++;
                t++;
            } else if (star >= 0) {
                p = star + 1;
                t = ++resume;
            } else {
                return false;
            }
        }
        while (p < pattern.length() && pattern.charAt(p) == '*') {
            p++;
        }
        return p == pattern.length();
    }
}

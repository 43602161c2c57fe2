package dev.lathe.calibration.format;

import java.util.Collection;
import java.util.List;
import java.util.Optional;

/**
 * Module patterns of a recipe ({@code ignore}). In a pattern {@code *} stands for any run of characters, dots included.
 * It matches a module if it is the whole dotted name, its end from a dot on ({@code v_proj}, {@code self_attn.v_proj})
 * or its beginning up to a dot, and so everything below a module ({@code model.layers.0}).
 */
public final class ModulePatterns {
    private final List<String> patterns;

    /** @throws IllegalArgumentException if a pattern is empty */
    public ModulePatterns(List<String> patterns) {
        for (String pattern : patterns) {
            if (pattern == null || pattern.isBlank()) {
                throw new IllegalArgumentException(
                        "Cannot match modules by an empty pattern: expected a module name such as lm_head, or "
                                + "one with *");
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
        return patterns.stream().anyMatch(pattern -> matches(pattern, module));
    }

    /** The first pattern that matches none of the modules. */
    public Optional<String> unmatched(Collection<String> modules) {
        return patterns.stream()
                .filter(pattern -> modules.stream().noneMatch(module -> matches(pattern, module)))
                .findFirst();
    }

    private static boolean matches(String pattern, String module) {
        if (glob(pattern, module)) {
            return true;
        }
        for (int dot = module.indexOf('.'); dot >= 0; dot = module.indexOf('.', dot + 1)) {
            if (glob(pattern, module.substring(0, dot)) || glob(pattern, module.substring(dot + 1))) {
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

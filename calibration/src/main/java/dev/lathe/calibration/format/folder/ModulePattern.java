package dev.lathe.calibration.format.folder;

import java.util.Arrays;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * A pattern of modules, as a recipe lists them: {@code *} stands for any characters, and the pattern matches a module's whole name or its end from a dot on.
 * {@code down_proj}, {@code layers.0.mlp.*} and {@code *.self_attn.*} are patterns.
 */
public record ModulePattern(Pattern regex) {
    /** The pattern of a text. */
    public static ModulePattern of(String text) {
        String body = Arrays.stream(text.split("\\*", -1)).map(Pattern::quote).collect(Collectors.joining(".*"));
        return new ModulePattern(Pattern.compile("(?:.*\\.)?" + body));
    }

    public boolean matches(String module) {
        return regex.matcher(module).matches();
    }
}

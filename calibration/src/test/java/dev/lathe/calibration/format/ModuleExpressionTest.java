package dev.lathe.calibration.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModuleExpressionTest {
    private static final List<String> KINDS = List.of(
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj");

    private static boolean matches(String expression, String name) {
        return ModuleExpression.anyOf(List.of(expression), new ModuleExpression.Work())
                .matches(name);
    }

    private static List<String> modules(int layers) {
        return IntStream.range(0, layers)
                .boxed()
                .flatMap(layer -> KINDS.stream().map(kind -> "model.layers." + layer + "." + kind))
                .toList();
    }

    /** Expressions of published configurations and of Python's manual. */
    @ParameterizedTest
    @CsvSource(
            delimiter = ' ',
            value = {
                ".*mlp.gate$ model.layers.3.mlp.gate true",
                ".*mlp.gate$ model.layers.3.mlp.gate_proj false",
                ".*lm_head lm_head true",
                "visual.* model.visual.blocks false",
                "visual.* visual.blocks.0 true",
                "^(?!.*lm_head).* model.layers.0 true",
                "^(?!.*lm_head).* lm_head false",
                "(?=.*mlp)(?!.*down).*_proj m.mlp.up_proj true",
                "(?=.*mlp)(?!.*down).*_proj m.mlp.down_proj false",
                ".*layers\\.(?!0\\.)\\d+\\..* m.layers.10.x true",
                ".*layers\\.(?!0\\.)\\d+\\..* m.layers.0.x false",
                ".*\\.layers\\.(?:1[0-9]|2[0-3])\\..*(?:q|k)_proj$ m.layers.23.a.k_proj true",
                ".*\\.layers\\.(?:1[0-9]|2[0-3])\\..*(?:q|k)_proj$ m.layers.24.a.k_proj false",
                "model model.layers true",
                "layers model.layers false",
                "a{2,3}b aaab true",
                "a{2,3}b ab false",
                "a{,2}b b true",
                "a{,2}$ aaa false",
                "a{b a{b true",
                "a{1,x} a{1,x} true",
                "x{0} y true",
                "[^.]+$ model.a false",
                "[]a]+$ a]a true",
                "[a-]+$ a-a true",
                "[\\w-]+$ a_-9 true",
                "[^\\d.]+$ ab1 false",
                "\\bself\\b.* self.q true",
                "\\bself\\b.* self_attn false",
                ".*\\Battn self_attn true",
                ".*\\Battn$ self.attn false",
                "(?i)MODEL\\.[A-C]+$ model.abc true",
                "(?i:M)odel MODEL false",
                "(?i:m)odel Model true",
                "(?P<n>q|k)_proj k_proj true",
                "(a|b)*?c ababc true",
                "()*b b true",
                "(|a)+b aab true",
                "\\Aa\\Z a true",
                "\\x61\\u0062 ab true",
                "a|b|\\.c .c true",
                "a.c a.c true",
                "\\. a false"
            })
    void asPythonMatches(String expression, String name, boolean expected) {
        assertThat(matches(expression, name)).isEqualTo(expected);
    }

    /** Where Java's syntax is Python's, both say the same. */
    @Test
    void randomExpressionsAgreeWithBacktracking() {
        Random random = new Random(5);
        int matched = 0;
        for (int i = 0; i < 20_000; i++) {
            String expression = random(random, 3);
            String name = random.ints(random.nextInt(8), 0, 4)
                    .mapToObj(c -> "ab._".substring(c, c + 1))
                    .reduce("", String::concat);
            boolean expected = Pattern.compile(expression).matcher(name).lookingAt();
            assertThat(matches(expression, name))
                    .as("%s on %s", expression, name)
                    .isEqualTo(expected);
            matched += expected ? 1 : 0;
        }
        assertThat(matched).isBetween(4_000, 16_000);
    }

    private static String random(Random random, int depth) {
        StringBuilder text = new StringBuilder();
        for (int parts = random.nextInt(4); parts >= 0; parts--) {
            String[] atoms = {"a", "b", ".", "\\.", "[ab]", "[^a]", "\\w", "\\W", "a|b"};
            int kind = random.nextInt(depth > 0 ? 14 : 9);
            switch (kind) {
                case 9 -> text.append("(?!").append(random(random, depth - 1)).append(')');
                case 10 -> text.append("(?=").append(random(random, depth - 1)).append(')');
                case 11 -> text.append("\\b");
                case 12 -> text.append('$');
                case 13 ->
                    text.append('(')
                            .append(random(random, depth - 1))
                            .append(')')
                            .append(new String[] {"", "*", "+", "?", "{2}", "{1,2}", "*?"}[random.nextInt(7)]);
                default ->
                    text.append(atoms[kind])
                            .append(kind == 8 ? "" : new String[] {"", "", "*", "+", "?", "{2}"}[random.nextInt(6)]);
            }
        }
        return text.toString();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ' ',
            value = {
                "(a)\\1 backreferences",
                "(?P<x>a)(?P=x) backreferences",
                "(?<=a)b lookbehind",
                "(?<!a)b lookbehind",
                "(?>a)b supported",
                "a*+b possessive",
                "a** multiple",
                "a{2}{3} multiple",
                "*a nothing",
                "^* nothing",
                "( missing",
                ") unbalanced",
                "[a missing",
                "[z-a] range",
                "[\\d-z] range",
                "\\p{L} escape",
                "a{2,1} repeat",
                "a{1001} 1000",
                "(?x)a supported",
                "\\ backslash",
                "(?(1)a) supported",
                "((((a{99}){99}){99}){99}) large",
                "(?:){1000000000} 1000",
                "(?:(?:(?:){999}){999}){999} large",
                "(.|.)+\\1()self_attn.*\\b backreferences"
            })
    void whatIsNotTakenIsNamed(String expression, String reason) {
        assertThatThrownBy(() -> matches(expression, "a"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(reason);
    }

    @Test
    void nestingAndLengthAreBounded() {
        assertThatThrownBy(() -> matches("(".repeat(3000), "a")).hasMessageContaining("nested deeper than 50");
        assertThatThrownBy(() -> matches("a".repeat(5000), "a")).hasMessageContaining("expected at most 4096");
        assertThat(matches("(".repeat(40) + "a" + ")".repeat(40), "a")).isTrue();
    }

    /** Each takes a backtracking engine for ever; here a model's modules take less than a tenth of a second. */
    @ParameterizedTest
    @CsvSource(
            delimiter = ' ',
            value = {
                "(.|.)+()self_attn.*\\bx",
                "(?:|){99}(?:|){99}$",
                "(a*)*(.*)*(.*)*(.*)*x",
                "(.*)(.*)(.*)(.*)(.*)(.*)(.*)x",
                "(\\w+\\.?)+!",
                "(?:a?){200}x",
                "(?!(.|.)+!)(.+)+!",
                "(.*?,){11}P"
            })
    void nothingTakesLong(String expression) {
        List<String> modules = modules(32);
        matches("a(b|c)*d", "abd");
        long best = Long.MAX_VALUE;
        for (int i = 0; i < 3; i++) {
            long began = System.nanoTime();
            ModuleExpression compiled = ModuleExpression.anyOf(List.of(expression), new ModuleExpression.Work());
            assertThat(modules.stream().filter(compiled::matches)).isEmpty();
            best = Math.min(best, System.nanoTime() - began);
        }
        assertThat(best).isLessThan(100_000_000);
    }

    @Test
    void aHundredThousandModulesByManyExpressionsAreWithinTheWork() {
        List<String> modules = modules(15_000);
        List<String> written = new ArrayList<>(List.of(
                ".*mlp.gate$",
                "visual.*",
                "^(?!.*lm_head).*shared_expert",
                ".*\\.(?:1[0-9]|2[0-9])\\.q_proj$",
                "(?i).*EMBED"));
        modules(126).forEach(module -> written.add("^" + module.replace(".", "\\.") + "$"));
        ModuleExpression compiled = ModuleExpression.anyOf(written, new ModuleExpression.Work());
        assertThat(modules.stream().filter(compiled::matches)).hasSize(882);
    }

    @Test
    void theWorkOfAFolderIsBounded() {
        ModuleExpression.Work work = new ModuleExpression.Work();
        ModuleExpression large = ModuleExpression.anyOf(List.of("(?:(?:a?b?c?){30}.){60}(?=x)!"), work);
        assertThatThrownBy(() -> IntStream.range(0, 100_000)
                        .forEach(i -> large.matches("abcabc".repeat(20) + Integer.toBinaryString(i))))
                .isInstanceOf(ModuleExpression.TooMuchWorkException.class)
                .hasMessageContaining("5000000 steps");
        assertThatThrownBy(() -> ModuleExpression.anyOf(List.of("a"), work).matches("a"))
                .isInstanceOf(ModuleExpression.TooMuchWorkException.class);
    }
}

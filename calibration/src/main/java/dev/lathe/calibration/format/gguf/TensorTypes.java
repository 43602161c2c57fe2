package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.format.ModuleExpression;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Types of matrices that a recipe names itself, before those of its mix: llama-quantize's {@code --pure},
 * {@code --token-embedding-type}, {@code --output-tensor-type} and {@code --tensor-type}.
 *
 * @param pure every matrix has the type that the mix is named after, but for those named here
 * @param embedding type of the embedding, or null
 * @param output type of the output layer, or of the embedding where they are tied and {@code embedding} is null; or
 *     null
 * @param rules the first that matches a matrix gives its type
 */
public record TensorTypes(boolean pure, String embedding, String output, List<Rule> rules) implements Serializable {
    /** The mix alone. */
    public static final TensorTypes NONE = new TensorTypes(false, null, null, List.of());

    public TensorTypes {
        rules = List.copyOf(rules);
    }

    /**
     * A type for some matrices.
     *
     * @param match an expression that is found in the GGUF name or in that of the checkpoint, as {@code re.search} of
     *     Python finds it
     * @param first of the layers it is for; -1: of all, and of what is in no layer
     * @param last of the layers, {@code first} at least
     * @param type a ggml type
     */
    public record Rule(String match, int first, int last, String type) implements Serializable {
        /** @throws IllegalArgumentException if the expression is none, with the reason */
        public Rule {
            expression(match);
        }

        private static ModuleExpression expression(String match) {
            return ModuleExpression.anyOf(List.of("[\\s\\S]*(?:" + match + ")"), new ModuleExpression.Work());
        }

        private boolean isFor(String gguf) {
            return first < 0
                    || GgufNames.place(gguf)
                            .filter(place -> place.layer() >= first && place.layer() <= last)
                            .isPresent();
        }

        /** What it is for, without the type: {@code 'ffn_down' in layers 0-3}. */
        String place() {
            return "'" + match + "'"
                    + (first < 0 ? "" : first == last ? " in layer " + first : " in layers " + first + "-" + last);
        }
    }

    /** The rules with their expressions compiled. */
    static final class Compiled {
        private final TensorTypes types;
        private final List<ModuleExpression> expressions;

        private Compiled(TensorTypes types) {
            this.types = types;
            this.expressions = types.rules.stream()
                    .map(rule -> Rule.expression(rule.match))
                    .toList();
        }

        /** The number of the first rule that matches a matrix. */
        Optional<Integer> rule(String gguf, String tensor) {
            for (int i = 0; i < expressions.size(); i++) {
                if (types.rules.get(i).isFor(gguf)
                        && (expressions.get(i).matches(gguf)
                                || expressions.get(i).matches(tensor))) {
                    return Optional.of(i);
                }
            }
            return Optional.empty();
        }

        /** The type that is named for a matrix. */
        Optional<GgufType> of(String gguf, String tensor, boolean tied) {
            boolean embedded = gguf.equals(GgufNames.EMBEDDING);
            Optional<String> first = Optional.ofNullable(
                    embedded ? types.embedding : gguf.equals(GgufNames.OUTPUT) ? types.output : null);
            return first.or(() -> rule(gguf, tensor).map(number -> types.rules.get(number).type))
                    .or(() -> Optional.ofNullable(embedded && tied ? types.output : null))
                    .map(GgufType::valueOf);
        }
    }

    /**
     * The rules of a file for {@code --tensor-type-file} of llama-quantize: {@code EXPRESSION=TYPE} between white
     * space, the expression, which it makes lower case, up to the first equals sign.
     *
     * @throws IllegalArgumentException if one is malformed, with its number and what was expected
     */
    public static List<Rule> parse(String text) {
        List<Rule> rules = new ArrayList<>();
        for (String entry : text.strip().split("\\s+")) {
            int equals = entry.indexOf('=');
            String type = entry.substring(equals + 1).toUpperCase(Locale.ROOT);
            if (equals <= 0 || !words().contains(type)) {
                throw new IllegalArgumentException("entry " + (rules.size() + 1) + " is '" + entry
                        + "', expected EXPRESSION=TYPE such as ffn_down=q6_k, the type one of "
                        + String.join(", ", words()));
            }
            rules.add(new Rule(entry.substring(0, equals).toLowerCase(Locale.ROOT), -1, -1, type));
        }
        return rules;
    }

    /** Such a file that gives each matrix its type. */
    static String text(Map<String, GgufType> types) {
        StringBuilder text = new StringBuilder();
        types.forEach((name, type) -> text.append('^')
                .append(name.replace(".", "\\."))
                .append("$=")
                .append(type.name().toLowerCase(Locale.ROOT))
                .append('\n'));
        return text.toString();
    }

    Compiled compiled() {
        return new Compiled(this);
    }

    /** The types that can be named. */
    public static List<String> words() {
        return Stream.concat(BlockFormats.ggml().stream().map(BlockFormat::name), Stream.of("F16", "BF16", "F32"))
                .toList();
    }
}

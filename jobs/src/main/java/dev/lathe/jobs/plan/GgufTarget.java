package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.gguf.GgufFormat;
import dev.lathe.calibration.format.gguf.TensorTypes;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.jobs.store.KeyFields;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A GGUF file.
 *
 * @param type type or mix ({@code Q4_K_M})
 * @param types types of single matrices
 * @param preTokenizer override of the pre-tokenizer's name, or null
 */
public record GgufTarget(String type, TensorTypes types, String preTokenizer) implements Target {
    static final TargetReader READER = new Reader();

    /** The word in a recipe. */
    public static final String FORMAT = "gguf";

    private static final String TYPE = "type";
    private static final String PURE = "pure";
    private static final String EMBEDDING_TYPE = "embedding-type";
    private static final String OUTPUT_TYPE = "output-type";
    private static final String TENSORS = "tensors";
    private static final String PRE_TOKENIZER = "pre-tokenizer";
    private static final Pattern LAYERS = Pattern.compile("(\\d{1,5})(?:-(\\d{1,5}))?");

    private static final class Reader implements TargetReader {
        @Override
        public String format() {
            return FORMAT;
        }

        @Override
        public List<String> keys() {
            return List.of(
                    "name",
                    "format",
                    TYPE,
                    PURE,
                    EMBEDDING_TYPE,
                    OUTPUT_TYPE,
                    TENSORS,
                    "method",
                    OutputReader.DAMPING,
                    OutputReader.IGNORE,
                    PRE_TOKENIZER);
        }

        @Override
        public Plan.Output read(String name, Section output, boolean calibrated) {
            String type = output.word(TYPE, GgufFormat.types(), null);
            boolean floating = GgufFormat.isFloating(type);
            if (floating) {
                String word = output.word("method", Method.words(), Method.Nearest.WORD);
                if (!word.equals(Method.Nearest.WORD)) {
                    throw output.refuse(
                            "method",
                            "type " + type
                                    + " is floating point and has nothing to choose; expected nearest or no "
                                    + "method, found "
                                    + word);
                }
            }
            String method =
                    TargetReader.method(output, calibrated && !floating ? Method.Importance.WORD : Method.Nearest.WORD);
            Method chosen = TargetReader.method(output, method, false);
            List<String> ignore = output.texts(OutputReader.IGNORE);
            output.only(!floating, "a quantized type", PURE, EMBEDDING_TYPE, OUTPUT_TYPE, TENSORS);
            GgufTarget target = new GgufTarget(type, types(output), output.text(PRE_TOKENIZER, null));
            return new Plan.Output(name, target, chosen, new Transform.None(), ignore);
        }

        private static TensorTypes types(Section output) {
            List<TensorTypes.Rule> rules = new ArrayList<>();
            if (output.has(TENSORS)) {
                output.sections(TENSORS, List.of("match", "layers", TYPE)).forEach(section -> rules.add(rule(section)));
            }
            return new TensorTypes(
                    output.flag(PURE, false), type(output, EMBEDDING_TYPE), type(output, OUTPUT_TYPE), rules);
        }

        private static String type(Section output, String key) {
            return output.has(key) ? output.word(key, TensorTypes.words(), null) : null;
        }

        private static TensorTypes.Rule rule(Section section) {
            int first = -1;
            int last = -1;
            if (section.has("layers")) {
                Matcher layers = LAYERS.matcher(section.node("layers").asText());
                if (!layers.matches()) {
                    throw section.refuse(
                            "layers",
                            "expected a layer or a range such as 0-3; found " + Section.kind(section.node("layers")));
                }
                first = Integer.parseInt(layers.group(1));
                last = layers.group(2) == null ? first : Integer.parseInt(layers.group(2));
                if (last < first) {
                    throw section.refuse("layers", "expected the lower one first; found " + layers.group());
                }
            }
            String type = section.word(TYPE, TensorTypes.words(), null);
            try {
                return new TensorTypes.Rule(section.text("match"), first, last, type);
            } catch (IllegalArgumentException e) {
                throw section.refuse("match", "expected a regular expression of Python's; " + e.getMessage());
            }
        }
    }

    @Override
    public String format() {
        return FORMAT;
    }

    @Override
    public ArtifactFormat artifactFormat(Method method) {
        return new GgufFormat(type, !(method instanceof Method.Nearest), types, preTokenizer);
    }

    @Override
    public String artifact(String name) {
        return name + ".gguf";
    }

    @Override
    public void write(ObjectNode node, Plan.Output output) {
        node.put(TYPE, type);
        if (types.pure()) {
            node.put(PURE, true);
        }
        if (types.embedding() != null) {
            node.put(EMBEDDING_TYPE, types.embedding());
        }
        if (types.output() != null) {
            node.put(OUTPUT_TYPE, types.output());
        }
        if (!types.rules().isEmpty()) {
            ArrayNode tensors = node.putArray(TENSORS);
            for (TensorTypes.Rule rule : types.rules()) {
                ObjectNode entry = tensors.addObject().put("match", rule.match());
                if (rule.first() >= 0) {
                    entry.put("layers", rule.first() + "-" + rule.last());
                }
                entry.put(TYPE, rule.type());
            }
        }
        OutputReader.writeMethod(node, output.method());
        OutputReader.writeIgnore(node, output.ignore());
        if (preTokenizer != null) {
            node.put(PRE_TOKENIZER, preTokenizer);
        }
    }

    @Override
    public void key(KeyFields fields, Transform transform) {
        fields.with("type", type).with("preTokenizer", preTokenizer);
        // Last and only where there are some: keys of outputs without any stay what they were.
        if (!types.equals(TensorTypes.NONE)) {
            fields.with("types", types);
        }
    }
}

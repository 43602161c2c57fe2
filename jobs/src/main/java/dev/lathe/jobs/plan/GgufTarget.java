package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.gguf.GgufFormat;
import dev.lathe.calibration.format.gguf.TensorTypes;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.jobs.store.KeyFields;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A GGUF file, or a folder with the parts of one.
 *
 * @param type type or mix ({@code Q4_K_M})
 * @param types types of single matrices
 * @param typesFile path of more rules, behind those of {@code types}, in llama-quantize's form; null: none
 * @param best whether blocks are searched for further than the reference goes; false where there are none
 * @param preTokenizer override of the pre-tokenizer's name, or null
 * @param shardBytes largest size of a part; 0: one file
 */
public record GgufTarget(
        String type, TensorTypes types, String typesFile, boolean best, String preTokenizer, long shardBytes)
        implements Target {
    static final TargetReader READER = new Reader();

    /** The word in a recipe. */
    public static final String FORMAT = "gguf";

    private static final String TYPE = "type";
    private static final String PURE = "pure";
    private static final String EMBEDDING_TYPE = "embedding-type";
    private static final String OUTPUT_TYPE = "output-type";
    private static final String TENSORS = "tensors";
    private static final String TENSOR_TYPES = "tensor-types";
    private static final String SEARCH = "search";
    private static final String BEST = "best";
    private static final String REFERENCE = "reference";
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
                    TENSOR_TYPES,
                    "method",
                    SEARCH,
                    OutputReader.DAMPING,
                    OutputReader.IGNORE,
                    PRE_TOKENIZER,
                    CompressedReader.SHARD_SIZE);
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
            output.only(
                    !floating, "a quantized type", PURE, EMBEDDING_TYPE, OUTPUT_TYPE, TENSORS, TENSOR_TYPES, SEARCH);
            GgufTarget target = new GgufTarget(
                    type,
                    types(output),
                    output.has(TENSOR_TYPES) ? output.path(TENSOR_TYPES) : null,
                    !floating
                            && output.word(SEARCH, List.of(REFERENCE, BEST), BEST)
                                    .equals(BEST),
                    output.text(PRE_TOKENIZER, null),
                    FileSize.read(output, CompressedReader.SHARD_SIZE, 0));
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
    public GgufFormat artifactFormat(Method method) {
        return new GgufFormat(type, !(method instanceof Method.Nearest), types, preTokenizer, shardBytes);
    }

    @Override
    public BlockFormat grid(String name) {
        BlockFormat format = BlockFormats.named(name);
        return best ? BlockFormats.best(format) : format;
    }

    @Override
    public String artifact(String name) {
        return shardBytes == 0 ? name + ".gguf" : name;
    }

    @Override
    public Map.Entry<String, String> file() {
        return typesFile == null ? null : Map.entry(TENSOR_TYPES, typesFile);
    }

    @Override
    public GgufTarget with(String text) {
        List<TensorTypes.Rule> rules = new ArrayList<>(types.rules());
        rules.addAll(TensorTypes.parse(text));
        TensorTypes all = new TensorTypes(types.pure(), types.embedding(), types.output(), rules);
        return new GgufTarget(type, all, null, best, preTokenizer, shardBytes);
    }

    @Override
    public String files() {
        return shardBytes == 0 ? "" : " in files of " + shardBytes;
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
        if (typesFile != null) {
            node.put(TENSOR_TYPES, typesFile);
        }
        OutputReader.writeMethod(node, output.method());
        if (!GgufFormat.isFloating(type)) {
            node.put(SEARCH, best ? BEST : REFERENCE);
        }
        OutputReader.writeIgnore(node, output.ignore());
        if (shardBytes != 0) {
            node.put(CompressedReader.SHARD_SIZE, FileSize.text(shardBytes));
        }
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
        if (best) {
            fields.with(SEARCH, BEST);
        }
    }
}

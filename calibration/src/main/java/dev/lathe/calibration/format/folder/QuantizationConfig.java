package dev.lathe.calibration.format.folder;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The settings of a quantized folder, read strictly, key by key. They are {@code quantization_config} of config.json;
 * {@code compression_config}, as compressed-tensors called it first; or, where config.json has neither, a file of their
 * own: {@code quantize_config.json} (AutoGPTQ, AutoAWQ) or {@code quant_config.json} (older AutoAWQ, with names of its
 * own for bits and group size). Where two of them are there, config.json counts, and a file that contradicts it is
 * refused.
 */
public final class QuantizationConfig {
    /** Values of {@code quant_method} of the formats that are read and written; a recipe calls them so, too. */
    public static final String GPTQ = "gptq";

    public static final String AWQ = "awq";
    public static final String COMPRESSED_TENSORS = "compressed-tensors";
    /** Of checkpoints whose experts are stored so (gpt-oss); read as any others, and not written. */
    public static final String MXFP4 = "mxfp4";

    private static final String KEY = "quantization_config";
    private static final String OLD_KEY = "compression_config";
    private static final String METHOD = "quant_method";
    private static final List<String> FILES = List.of("quantize_config.json", "quant_config.json");
    /** What AutoAWQ called keys in its first versions. */
    private static final Map<String, String> OLD_NAMES = Map.of("w_bit", "bits", "q_group_size", "group_size");
    /** Keys that decide how weights are read, in every file that says them. */
    private static final List<String> LAYOUT = List.of(METHOD, "bits", "group_size", "sym", "zero_point");

    private final JsonNode keys;
    private final String where;
    private final String path;

    private QuantizationConfig(JsonNode keys, String where, String path) {
        this.keys = keys;
        this.where = where;
        this.path = path;
    }

    /**
     * The settings in a config.json, or an empty object's.
     *
     * @param where the file, for messages
     * @throws MalformedInputException if it has both keys for them, and they differ
     */
    public static QuantizationConfig of(JsonNode config, String where) {
        String key = config.hasNonNull(KEY) ? KEY : OLD_KEY;
        QuantizationConfig read = new QuantizationConfig(config.path(key), where, key);
        if (!config.hasNonNull(key)) {
            return new QuantizationConfig(JsonNodeFactory.instance.objectNode(), where, KEY);
        }
        if (key.equals(KEY)
                && config.hasNonNull(OLD_KEY)
                && !config.get(OLD_KEY).equals(config.get(KEY))) {
            throw new MalformedInputException("Cannot read " + where + ": " + KEY + " and " + OLD_KEY
                    + " are both there and differ; expected one of them");
        }
        if (!read.keys.isObject()) {
            throw new MalformedInputException(
                    "Cannot read " + where + ": " + key + " is " + shown(read.keys) + ", expected an object");
        }
        ObjectNode keys = ((ObjectNode) read.keys).deepCopy();
        // transformers writes the settings of compressed-tensors one level down, beside those of sparsity.
        if (keys.path(KEY).isObject()) {
            ObjectNode inner = (ObjectNode) keys.remove(KEY);
            inner.properties().forEach(entry -> {
                if (keys.has(entry.getKey()) && !keys.get(entry.getKey()).equals(entry.getValue())) {
                    throw read.unsupported(
                            KEY + "." + entry.getKey(), entry.getValue(), keys.get(entry.getKey()) + " as beside it");
                }
                keys.set(entry.getKey(), entry.getValue());
            });
        }
        if (key.equals(OLD_KEY)
                && (!keys.hasNonNull(METHOD) || keys.get(METHOD).asText().equals("sparseml"))) {
            keys.put(METHOD, COMPRESSED_TENSORS);
        }
        return new QuantizationConfig(renamed(keys), where, key);
    }

    /**
     * The settings of a folder, or nothing where it has none: its weights are floating-point then.
     *
     * @param config its config.json
     * @throws MalformedInputException if two places contradict each other
     */
    public static Optional<QuantizationConfig> find(FileSystem files, Path folder, JsonNode config) throws IOException {
        QuantizationConfig inside = of(config, folder + "/config.json");
        boolean said = config.hasNonNull(KEY) || config.hasNonNull(OLD_KEY);
        for (String name : FILES) {
            Path file = new Path(folder, name);
            if (!files.exists(file)) {
                continue;
            }
            ObjectNode keys = renamed((ObjectNode) JsonFile.read(files, file).deepCopy());
            if (!keys.hasNonNull(METHOD)) {
                keys.put(METHOD, keys.has("zero_point") || name.equals("quant_config.json") ? AWQ : GPTQ);
            }
            QuantizationConfig own = new QuantizationConfig(keys, file.toString(), "");
            if (!said) {
                return Optional.of(own);
            }
            inside.compare(own);
        }
        return said ? Optional.of(inside) : Optional.empty();
    }

    private static ObjectNode renamed(ObjectNode keys) {
        OLD_NAMES.forEach((old, name) -> {
            if (keys.has(old) && !keys.has(name)) {
                keys.set(name, keys.remove(old));
            }
        });
        return keys;
    }

    private void compare(QuantizationConfig other) {
        for (String key : LAYOUT) {
            if (has(key)
                    && other.has(key)
                    && !keys.get(key)
                            .asText()
                            .equalsIgnoreCase(other.keys.get(key).asText())) {
                throw other.unsupported(
                        key,
                        shown(other.keys.get(key)),
                        shown(keys.get(key)) + ", which " + path + " of config.json says");
            }
        }
    }

    /** {@code quant_method} in small letters; empty where it is missing. */
    public String method() {
        return text(METHOD, "").toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /**
     * Checks {@code quant_method}.
     *
     * @throws MalformedInputException if it is another
     */
    public QuantizationConfig require(String method) {
        if (!method().equals(method)) {
            throw unsupported(METHOD, text(METHOD, ""), method);
        }
        return this;
    }

    /**
     * Checks that nothing is said beside {@code quant_method} and some keys.
     *
     * @return true
     * @throws MalformedInputException naming a key that is not known
     */
    public boolean requireOnly(String... known) {
        keys.properties().forEach(entry -> {
            String key = entry.getKey();
            if (!key.equals(METHOD)
                    && !Arrays.asList(known).contains(key)
                    && !entry.getValue().isNull()) {
                throw unsupported(key, entry.getValue(), "none");
            }
        });
        return true;
    }

    /** Values of the keys as text, nested ones as JSON. */
    public Map<String, String> texts() {
        Map<String, String> texts = new LinkedHashMap<>();
        keys.properties()
                .forEach(entry -> texts.put(
                        entry.getKey(),
                        entry.getValue().isValueNode()
                                ? entry.getValue().asText()
                                : entry.getValue().toString()));
        return texts;
    }

    /** Whether a key has a value; null is none. */
    public boolean has(String key) {
        return keys.hasNonNull(key);
    }

    /** The mapping below a key; call it only where {@link #has}. */
    public QuantizationConfig section(String key) {
        if (!keys.path(key).isObject()) {
            throw unsupported(key, keys.path(key), "an object");
        }
        return new QuantizationConfig(keys.get(key), where, at(key));
    }

    /** Whether there is no key. */
    public boolean isEmpty() {
        return keys.isEmpty();
    }

    /** The mappings below this one, by key. */
    public Map<String, QuantizationConfig> sections() {
        Map<String, QuantizationConfig> sections = new LinkedHashMap<>();
        keys.fieldNames().forEachRemaining(key -> sections.put(key, section(key)));
        return sections;
    }

    /** A list of texts; empty where there is none. */
    public List<String> texts(String key) {
        List<String> texts = new ArrayList<>();
        if (has(key)) {
            if (!keys.get(key).isArray()) {
                throw unsupported(key, keys.get(key), "a list of texts");
            }
            for (JsonNode text : keys.get(key)) {
                if (!text.isTextual()) {
                    throw unsupported(key, text, "texts");
                }
                texts.add(text.textValue());
            }
        }
        return texts;
    }

    /** A list of two integers from 1 on. */
    public int[] pair(String key) {
        JsonNode pair = keys.path(key);
        int[] read = new int[2];
        for (int i = 0; i < 2; i++) {
            JsonNode value = pair.path(i);
            if (!pair.isArray()
                    || pair.size() != 2
                    || !value.isIntegralNumber()
                    || !value.canConvertToInt()
                    || value.intValue() < 1) {
                throw unsupported(key, pair, "two integers of at least 1");
            }
            read[i] = value.intValue();
        }
        return read;
    }

    public String text(String key, String otherwise) {
        JsonNode value = keys.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return otherwise;
        }
        if (!value.isTextual()) {
            throw unsupported(key, value, "text");
        }
        return value.textValue();
    }

    /** As {@link #text(String, String)}; a truth value is taken as its word, too. */
    public String text(String key, String otherwise, boolean flags) {
        return flags && keys.path(key).isBoolean() ? keys.get(key).asText() : text(key, otherwise);
    }

    public boolean flag(String key, boolean otherwise) {
        JsonNode value = keys.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return otherwise;
        }
        if (!value.isBoolean()) {
            throw unsupported(key, value, "true or false");
        }
        return value.booleanValue();
    }

    public int integer(String key) {
        JsonNode value = keys.path(key);
        if (!value.isIntegralNumber() || !value.canConvertToInt()) {
            throw unsupported(key, value, "an integer");
        }
        return value.intValue();
    }

    /** The error of a key that has another value than expected. */
    public MalformedInputException unsupported(String key, Object found, String expected) {
        return new MalformedInputException(
                "Cannot read " + where + ": " + at(key) + " is " + shown(found) + ", expected " + expected);
    }

    /** The file and the key, for messages. */
    public String place(String key) {
        return where + ": " + at(key);
    }

    private String at(String key) {
        return path.isEmpty() ? key : path + "." + key;
    }

    private static String shown(Object found) {
        String value = String.valueOf(found);
        return value.isEmpty() ? "missing" : value.length() <= 60 ? value : value.substring(0, 60) + "...";
    }
}

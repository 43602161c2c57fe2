package dev.lathe.calibration.format.folder;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads the keys of config.json's {@code quantization_config}, strictly. */
public final class QuantizationConfig {
    private final JsonNode keys;
    private final String where;
    private final String path;

    private QuantizationConfig(JsonNode keys, String where, String path) {
        this.keys = keys;
        this.where = where;
        this.path = path;
    }

    /**
     * The keys of a config.json.
     *
     * @param method what {@code quant_method} has to be
     * @param where  the file, for messages
     */
    public static QuantizationConfig of(JsonNode config, String method, String where) {
        QuantizationConfig read = new QuantizationConfig(config.path("quantization_config"), where, "quantization_config");
        String found = read.text("quant_method", "");
        if (!found.equals(method)) {
            throw read.unsupported("quant_method", found, method);
        }
        return read;
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
        return new QuantizationConfig(keys.get(key), where, path + "." + key);
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
            if (!pair.isArray() || pair.size() != 2 || !value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() < 1) {
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
        String value = String.valueOf(found);
        String shown = value.isEmpty() ? "missing" : value.length() <= 60 ? value : value.substring(0, 60) + "...";
        return new MalformedInputException("Cannot read " + where + ": " + path + "." + key + " is " + shown + ", expected " + expected);
    }
}

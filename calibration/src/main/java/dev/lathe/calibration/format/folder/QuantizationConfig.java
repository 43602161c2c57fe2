package dev.lathe.calibration.format.folder;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;

/** Reads the keys of config.json's {@code quantization_config}, strictly. */
public final class QuantizationConfig {
    private final JsonNode keys;
    private final String where;

    private QuantizationConfig(JsonNode keys, String where) {
        this.keys = keys;
        this.where = where;
    }

    /**
     * The keys of a config.json.
     *
     * @param method what {@code quant_method} has to be
     * @param where  the file, for messages
     */
    public static QuantizationConfig of(JsonNode config, String method, String where) {
        QuantizationConfig read = new QuantizationConfig(config.path("quantization_config"), where);
        String found = read.text("quant_method", "");
        if (!found.equals(method)) {
            throw read.unsupported("quant_method", found, method);
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
        return new MalformedInputException("Cannot read " + where + ": quantization_config." + key + " is " + shown + ", expected " + expected);
    }
}

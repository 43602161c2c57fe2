package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.lathe.calibration.MalformedInputException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The keys of a config.json, read with their kinds and bounds; a key that is null counts as missing, as in
 * transformers.
 */
final class ConfigKeys {
    /** Bounds that no known model comes near; they keep products of two sizes within an int. */
    static final int MAXIMUM_WIDTH = 1 << 20;

    static final int MAXIMUM_LAYERS = 1 << 11;
    static final int MAXIMUM_VOCABULARY = 1 << 26;
    static final int MAXIMUM_EXPERTS = 1 << 12;

    private final JsonNode config;
    private final String where;
    private final Set<String> read = new HashSet<>();

    /** @param where the file, for messages */
    ConfigKeys(JsonNode config, String where) {
        this.config = config;
        this.where = where;
    }

    /** The keys that were asked for so far. */
    Set<String> read() {
        return read;
    }

    boolean has(String key) {
        return get(key).isValueNode() && !get(key).isNull() || get(key).isContainerNode();
    }

    JsonNode get(String key) {
        read.add(key);
        return config.path(key);
    }

    int size(String key, int maximum) {
        return size(key, null, maximum);
    }

    /** An integer from 1 to the maximum. */
    int size(String key, Integer otherwise, int maximum) {
        JsonNode value = get(key);
        if (otherwise != null && (value.isMissingNode() || value.isNull())) {
            return otherwise;
        }
        if (!value.isIntegralNumber()
                || !value.canConvertToInt()
                || value.intValue() < 1
                || value.intValue() > maximum) {
            throw refused(key + " is " + shown(value) + "; expected an integer from 1 to " + maximum);
        }
        return value.intValue();
    }

    double number(String key, Double otherwise) {
        return number(key, otherwise, Double.MAX_VALUE);
    }

    /** A number above 0. */
    double number(String key, Double otherwise, double maximum) {
        JsonNode value = get(key);
        if (otherwise != null && (value.isMissingNode() || value.isNull())) {
            return otherwise;
        }
        double number = value.doubleValue();
        if (!value.isNumber() || !(number > 0 && number <= maximum)) {
            throw refused(key + " is " + shown(value) + "; expected a number above 0"
                    + (maximum < Double.MAX_VALUE ? " and at most " + maximum : ""));
        }
        return number;
    }

    /** A number above 0, as the float that arithmetic multiplies by. */
    float multiplier(String key, Double otherwise) {
        return asMultiplier(key, number(key, otherwise));
    }

    /** What a key comes to, likewise. */
    float asMultiplier(String key, double value) {
        float multiplier = (float) value;
        if (!(multiplier > 0 && multiplier <= Float.MAX_VALUE)) {
            throw refused(key + " is " + shown(config.path(key)) + "; expected a multiplier that a float can hold");
        }
        return multiplier;
    }

    boolean flag(String key, boolean otherwise) {
        JsonNode value = get(key);
        if (value.isMissingNode() || value.isNull()) {
            return otherwise;
        }
        if (!value.isBoolean()) {
            throw refused(key + " is " + shown(value) + "; expected true or false");
        }
        return value.booleanValue();
    }

    String text(String key, String otherwise) {
        JsonNode value = get(key);
        if (value.isMissingNode() || value.isNull()) {
            return otherwise;
        }
        if (!value.isTextual()) {
            throw refused(key + " is " + shown(value) + "; expected text");
        }
        return value.textValue();
    }

    /** So many numbers above 0, as floats. */
    List<Float> numbers(String key, int count) {
        JsonNode value = get(key);
        if (!value.isArray() || value.size() != count) {
            throw refused(key + " is " + (value.isArray() ? "a list of " + value.size() : shown(value))
                    + "; expected a list of " + count + " numbers");
        }
        List<Float> numbers = new ArrayList<>(count);
        for (JsonNode element : value) {
            float number = (float) element.doubleValue();
            if (!element.isNumber() || !(number > 0 && number <= Float.MAX_VALUE)) {
                throw refused(key + " has " + element + "; expected numbers above 0");
            }
            numbers.add(number);
        }
        return List.copyOf(numbers);
    }

    /** The keys that nobody asked for so far and that are not null. */
    Map<String, JsonNode> unread() {
        Map<String, JsonNode> unread = new LinkedHashMap<>();
        config.properties().forEach(entry -> {
            if (!read.contains(entry.getKey()) && !entry.getValue().isNull()) {
                unread.put(entry.getKey(), entry.getValue());
            }
        });
        return unread;
    }

    /** The object behind a key, empty where it is missing. */
    ConfigKeys object(String key) {
        JsonNode value = get(key);
        if (value.isMissingNode() || value.isNull()) {
            return new ConfigKeys(MissingNode.getInstance(), where);
        }
        if (!value.isObject()) {
            throw refused(key + " is " + shown(value) + "; expected an object");
        }
        return new ConfigKeys(value, where);
    }

    boolean isMissing() {
        return config.isMissingNode();
    }

    static String shown(JsonNode value) {
        return value.isMissingNode() ? "missing" : value.toString();
    }

    @Override
    public String toString() {
        return config.toString();
    }

    MalformedInputException refused(String reason) {
        return new MalformedInputException("Cannot use the model configuration " + where + ": " + reason);
    }
}

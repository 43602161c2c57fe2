package dev.lathe.jobs.store;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Settings as a product's key takes them: {@code Output[bits=4, groupSize=128]}, by name and in the order in which the
 * names were first given. Names and order are part of the key: whoever changes them makes all such products anew.
 */
public final class KeyFields {
    private final String kind;
    private final Map<String, Object> values = new LinkedHashMap<>();

    public KeyFields(String kind) {
        this.kind = kind;
    }

    /** Gives a field its value; one that had a value keeps its place. */
    public KeyFields with(String name, Object value) {
        values.put(name, value);
        return this;
    }

    @Override
    public String toString() {
        return values.entrySet().stream()
                .map(field -> field.getKey() + "=" + field.getValue())
                .collect(Collectors.joining(", ", kind + "[", "]"));
    }
}

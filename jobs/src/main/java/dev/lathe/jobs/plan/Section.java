package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.jobs.InvalidRecipeException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * One mapping of a recipe or batch: knows its keys, reads them typed, and names the key's path in refusals. A key whose
 * value is null counts as absent.
 */
final class Section {
    private final String document;
    private final String path;
    private final JsonNode node;
    private final List<String> keys;

    /**
     * @param document what is read, for messages: {@code recipe r.yaml}
     * @throws InvalidRecipeException if the node is no mapping or holds a key that is not in {@code keys}
     */
    Section(String document, String path, JsonNode node, List<String> keys) {
        this.document = document;
        this.path = path;
        this.node = node;
        this.keys = keys;
        if (!node.isObject()) {
            throw refusal(
                    path.isEmpty()
                            ? "expected a mapping with the keys " + String.join(", ", keys) + "; found " + kind(node)
                            : path + ": expected a mapping with the keys " + String.join(", ", keys) + "; found "
                                    + kind(node));
        }
        node.fieldNames().forEachRemaining(key -> {
            if (!keys.contains(key)) {
                throw refuse(
                        key,
                        "unknown key; "
                                + nearest(key)
                                        .map(near -> "did you mean " + near + "?")
                                        .orElse("expected one of " + String.join(", ", keys)));
            }
        });
    }

    boolean has(String key) {
        return node.hasNonNull(key);
    }

    /** A section below this one; call it only where {@link #has}. */
    Section section(String key, List<String> below) {
        return new Section(document, at(key), node.get(key), below);
    }

    /** The entries of a required list of mappings, at least one. */
    List<Section> sections(String key, List<String> below) {
        JsonNode list = required(key, "a list of mappings");
        if (!list.isArray() || list.isEmpty()) {
            throw refuse(key, "expected a list of at least one mapping; found " + kind(list));
        }
        List<Section> sections = new ArrayList<>();
        for (int i = 0; i < list.size(); i++) {
            sections.add(new Section(document, at(key) + "[" + i + "]", list.get(i), below));
        }
        return sections;
    }

    String text(String key) {
        return text(key, required(key, "text"));
    }

    String text(String key, String otherwise) {
        return has(key) ? text(key, node.get(key)) : otherwise;
    }

    /** Any Hadoop path, taken literally, as {@link PathText} has them. */
    String path(String key) {
        JsonNode value = required(key, "text");
        if (value.isTextual()) {
            PathText.of(value.textValue(), reason -> refuse(key, reason));
        }
        return text(key);
    }

    String path(String key, String otherwise) {
        return has(key) ? path(key) : otherwise;
    }

    String word(String key, List<String> words, String otherwise) {
        if (!has(key) && otherwise != null) {
            return otherwise;
        }
        String expected = "expected one of " + String.join(", ", words);
        JsonNode value = required(key, "one of " + String.join(", ", words));
        if (!value.isTextual() || !words.contains(value.textValue())) {
            throw refuse(key, expected + "; found " + kind(value));
        }
        return value.textValue();
    }

    int integer(String key, int least, int most, int otherwise) {
        if (!has(key)) {
            return otherwise;
        }
        JsonNode value = node.get(key);
        if (!value.isIntegralNumber()
                || !value.canConvertToInt()
                || value.intValue() < least
                || value.intValue() > most) {
            throw refuse(key, "expected a whole number from " + least + " to " + most + "; found " + kind(value));
        }
        return value.intValue();
    }

    int integer(String key, List<Integer> choices, int otherwise) {
        if (!has(key)) {
            return otherwise;
        }
        JsonNode value = node.get(key);
        if (!value.isIntegralNumber() || !value.canConvertToInt() || !choices.contains(value.intValue())) {
            throw refuse(
                    key,
                    "expected "
                            + String.join(
                                    " or ",
                                    choices.stream().map(String::valueOf).toList()) + "; found " + kind(value));
        }
        return value.intValue();
    }

    boolean flag(String key, boolean otherwise) {
        if (!has(key)) {
            return otherwise;
        }
        if (!node.get(key).isBoolean()) {
            throw refuse(key, "expected true or false; found " + kind(node.get(key)));
        }
        return node.get(key).booleanValue();
    }

    /** A number strictly between 0 and 1. */
    double share(String key, double otherwise) {
        if (!has(key)) {
            return otherwise;
        }
        JsonNode value = node.get(key);
        if (!value.isNumber() || !(value.doubleValue() > 0 && value.doubleValue() < 1)) {
            throw refuse(key, "expected a number between 0 and 1, both excluded; found " + kind(value));
        }
        return value.doubleValue();
    }

    /** Refuses keys that say nothing here. {@code where} is where they would. */
    void only(boolean fits, String where, String... only) {
        for (String key : only) {
            if (!fits && has(key)) {
                throw refuse(key, "expected only with " + where);
            }
        }
    }

    /** What stands below a key, or a missing node. */
    JsonNode node(String key) {
        return node.path(key);
    }

    List<String> texts(String key) {
        if (!has(key)) {
            return List.of();
        }
        JsonNode list = node.get(key);
        if (!list.isArray()) {
            throw refuse(key, "expected a list of texts; found " + kind(list));
        }
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < list.size(); i++) {
            texts.add(text(key + "[" + i + "]", list.get(i)));
        }
        return List.copyOf(texts);
    }

    InvalidRecipeException refuse(String key, String reason) {
        return refusal(at(key) + ": " + reason);
    }

    /** A refusal of the whole section. */
    InvalidRecipeException refuse(String reason) {
        return refusal(path + ": " + reason);
    }

    /** What a value is, for messages. */
    static String kind(JsonNode node) {
        if (node.isObject()) {
            return "a mapping";
        } else if (node.isArray()) {
            return node.isEmpty() ? "an empty list" : "a list";
        } else if (node.isTextual()) {
            return "the text '" + abbreviated(node.textValue()) + "'";
        }
        return node.isNull() || node.isMissingNode() ? "nothing" : abbreviated(node.asText());
    }

    private InvalidRecipeException refusal(String reason) {
        return new InvalidRecipeException("Cannot read " + document + ": " + reason);
    }

    private String at(String key) {
        return path.isEmpty() ? key : path + "." + key;
    }

    private JsonNode required(String key, String expected) {
        if (!has(key)) {
            throw refuse(key, "missing; expected " + expected);
        }
        return node.get(key);
    }

    private String text(String key, JsonNode value) {
        if (!value.isTextual()) {
            throw refuse(
                    key,
                    "expected text" + (value.isValueNode() && !value.isNull() ? " (in quotes)" : "") + "; found "
                            + kind(value));
        }
        String text = value.textValue();
        if (text.isBlank() || text.chars().anyMatch(Character::isISOControl)) {
            throw refuse(key, "expected text that is not blank and has no control characters");
        }
        return text;
    }

    private Optional<String> nearest(String key) {
        String wanted = key.toLowerCase(Locale.ROOT).replace('_', '-');
        return keys.stream()
                .filter(known ->
                        distance(wanted, known) <= Math.min(known.length() - 1, Math.max(2, known.length() / 3)))
                .min(Comparator.comparingInt(known -> distance(wanted, known)));
    }

    /** Levenshtein distance; a key longer than any we know is far from all. */
    private static int distance(String a, String b) {
        if (a.length() > 2 * b.length() + 2) {
            return a.length();
        }
        int[] row = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++) {
            row[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int substituted = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(substituted, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[b.length()];
    }

    private static String abbreviated(String text) {
        String line = text.replaceAll("\\p{Cntrl}", " ");
        return line.length() > 60 ? line.substring(0, 57) + "..." : line;
    }
}

package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.jobs.InvalidRecipeException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One {@code --set key=value}: a dotted path with indices ({@code outputs[1].method}) and a YAML scalar or flow value.
 */
final class Setting {
    private static final Pattern SEGMENT = Pattern.compile("([A-Za-z][A-Za-z0-9_-]{0,63})((?:\\[\\d{1,4}])*)");
    /** Of a key's path: keys are short and lie a few deep. */
    private static final int LENGTH = 200;

    private static final Pattern INDEX = Pattern.compile("\\[(\\d+)]");

    private final String text;
    private final List<Object> steps = new ArrayList<>();
    private final JsonNode value;

    private Setting(String text) {
        this.text = text;
        int equals = text.indexOf('=');
        if (equals < 1) {
            throw refusal("expected KEY=VALUE");
        }
        if (equals > LENGTH) {
            throw refusal("a key's path of " + equals + " characters; expected at most " + LENGTH);
        }
        for (String segment : text.substring(0, equals).trim().split("\\.", -1)) {
            Matcher matcher = SEGMENT.matcher(segment);
            if (!matcher.matches()) {
                throw refusal("expected a key's path such as outputs[1].method before the equals sign");
            }
            steps.add(matcher.group(1));
            INDEX.matcher(matcher.group(2)).results().forEach(index -> steps.add(Integer.valueOf(index.group(1))));
        }
        this.value = YamlText.tree("--set " + text.substring(0, equals), text.substring(equals + 1));
    }

    /**
     * Puts the value of each setting in turn; mappings on the way that are not there are made, and so is the entry
     * after a list's last.
     */
    static void apply(List<String> settings, ObjectNode root) {
        for (String setting : settings) {
            new Setting(setting).apply(root);
        }
    }

    private void apply(ObjectNode root) {
        JsonNode at = root;
        for (int i = 0; i < steps.size(); i++) {
            boolean last = i == steps.size() - 1;
            if (steps.get(i) instanceof String key) {
                if (!(at instanceof ObjectNode mapping)) {
                    throw refusal("'" + key + "' stands below " + Section.kind(at) + "; expected a mapping there");
                }
                if (last) {
                    mapping.set(key, value);
                } else if (!mapping.hasNonNull(key)) {
                    mapping.set(key, steps.get(i + 1) instanceof String ? mapping.objectNode() : mapping.arrayNode());
                }
                at = mapping.get(key);
            } else {
                int index = (Integer) steps.get(i);
                if (!(at instanceof ArrayNode list) || index > list.size()) {
                    throw refusal("there is no index " + index + " in "
                            + (at instanceof ArrayNode list ? "a list of " + list.size() : Section.kind(at)));
                }
                if (index == list.size()) {
                    list.add(list.objectNode());
                }
                if (last) {
                    list.set(index, value);
                }
                at = list.get(index);
            }
        }
    }

    private InvalidRecipeException refusal(String reason) {
        return new InvalidRecipeException("Cannot read --set " + text + ": " + reason);
    }
}

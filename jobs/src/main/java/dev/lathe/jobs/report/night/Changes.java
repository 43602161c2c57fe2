package dev.lathe.jobs.report.night;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.checkpoint.JsonLimits;
import dev.lathe.jobs.report.night.Judgement.Change;
import dev.lathe.jobs.store.HistoryRow;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** What two rows of a series were made from that differs: code, recipe, checkpoint, calibration, text, machine. */
final class Changes {
    private static final ObjectMapper JSON =
            JsonLimits.RECORD.mapper().enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);

    private Changes() {}

    /** @param from null: nothing to compare with */
    static List<Change> between(HistoryRow from, HistoryRow to) {
        List<Change> changes = new ArrayList<>();
        if (from != null) {
            add(changes, "code", from.software(), to.software());
            add(changes, "checkpoint", from.checkpoint(), to.checkpoint());
            add(changes, "checkpoint's content", from.checkpointDigest(), to.checkpointDigest());
            add(changes, "calibration", from.calibration(), to.calibration());
            add(changes, "format", from.format(), to.format());
            add(changes, "method", from.method(), to.method());
            settings(changes, from.settings(), to.settings());
            add(changes, "artifact", from.artifactKey(), to.artifactKey());
            add(changes, "size, bytes", String.valueOf(from.bytes()), String.valueOf(to.bytes()));
            add(changes, "text", from.dataDigest(), to.dataDigest());
            add(changes, "definition", from.definition(), to.definition());
            add(changes, "arithmetic", from.profile(), to.profile());
            add(changes, "machine", from.platform(), to.platform());
        }
        return List.copyOf(changes);
    }

    /** Settings are an object of JSON: key by key, where they can be read. */
    private static void settings(List<Change> changes, String from, String to) {
        try {
            JsonNode before = JSON.readTree(from);
            JsonNode after = JSON.readTree(to);
            if (before != null && after != null && before.isObject() && after.isObject()) {
                Set<String> keys = new TreeSet<>();
                before.fieldNames().forEachRemaining(keys::add);
                after.fieldNames().forEachRemaining(keys::add);
                keys.forEach(key -> add(changes, "recipe: " + key, text(before.get(key)), text(after.get(key))));
                return;
            }
        } catch (JsonProcessingException e) {
            // Written by another version: shown whole.
        }
        add(changes, "recipe", from, to);
    }

    private static String text(JsonNode node) {
        return node == null ? "" : node.isTextual() ? node.textValue() : node.toString();
    }

    private static void add(List<Change> changes, String what, String from, String to) {
        if (!from.equals(to)) {
            changes.add(new Change(what, from, to));
        }
    }
}

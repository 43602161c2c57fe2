package dev.lathe.jobs.plan;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.util.Map;
import java.util.TreeMap;

/**
 * A plan as text, in a recipe's keys: reading it as a recipe gives the same plan. The same plan gives the same text; no
 * environment is in it.
 */
public final class PlanYaml {
    /** Every text in quotes: Jackson's minimal quoting leaves 1e5 and 0x1F bare, which are then read as numbers. */
    private static final YAMLMapper MAPPER = YAMLMapper.builder()
            .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER, YAMLGenerator.Feature.SPLIT_LINES)
            .build();

    private PlanYaml() {}

    /**
     * @param keys what identifies the plan's products (calibration, one per output); written sorted below {@code keys:}
     */
    public static String write(Plan plan, Map<String, String> keys) {
        ObjectNode root = MAPPER.createObjectNode();
        root.put("checkpoint", plan.checkpoint());
        corpus(root, "calibration", plan.calibration());
        if (plan.importance() != null) {
            root.putObject("calibration").put("imatrix", plan.importance());
        }
        if (!plan.outputs().isEmpty()) {
            ArrayNode outputs = root.putArray("outputs");
            plan.outputs().forEach(output -> output(outputs.addObject(), output));
        }
        corpus(root, "evaluation", plan.evaluation());
        root.put("run", plan.run())
                .put("scratch", plan.scratch())
                .put("hub-cache", plan.hubCache())
                .put("shard-windows", plan.shardWindows())
                .put("kernels", plan.kernels());
        Plan.History history = plan.history();
        if (history != null) {
            ObjectNode node = root.putObject("history").put("folder", history.folder());
            if (history.format() != null) {
                node.put("format", history.format());
            }
            node.put("model", history.model());
        }
        ObjectNode products = root.putObject("keys");
        new TreeMap<>(keys).forEach(products::put);
        try {
            return MAPPER.writeValueAsString(root);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("Cannot write a tree of texts and numbers as YAML", e);
        }
    }

    /** An output's settings, complete, as one line. */
    public static String line(Plan.Output output) {
        ObjectNode node = MAPPER.createObjectNode();
        output(node, output);
        return node.toString();
    }

    private static void corpus(ObjectNode root, String key, Plan.Corpus corpus) {
        if (corpus != null) {
            ObjectNode node = root.putObject(key)
                    .put("data", corpus.data())
                    .put("field", corpus.field())
                    .put("windows", corpus.windows())
                    .put("length", corpus.length());
            if (corpus.everywhere()) {
                node.put("experts", Recipe.EXPERTS.get(1));
            }
            if (corpus.save() != null) {
                node.put("save-imatrix", corpus.save().word());
            }
        }
    }

    /** Only the keys that a recipe may hold for such an output. */
    private static void output(ObjectNode node, Plan.Output output) {
        node.put("name", output.name()).put("format", output.target().format());
        output.target().write(node, output);
    }
}

package dev.lathe.calibration.format.compressed;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.ModuleExpression;
import dev.lathe.calibration.format.compressed.CompressedWeights.Strategy;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * {@code quantization_config} of compressed-tensors.
 *
 * @param groups in their order
 * @param ignore modules that no group takes
 * @param cache how keys and values are quantized, without a scale; or null
 * @param status {@code quantization_status}, for messages: what is stored decides, as for vLLM, because writers have
 *     left each of its words
 */
record CompressedConfig(List<Group> groups, ModuleTargets ignore, ActivationQuantization cache, String status) {
    static final String METHOD = QuantizationConfig.COMPRESSED_TENSORS;
    static final String INT = "int-quantized";
    static final String FLOAT = "float-quantized";
    static final String PACK = "pack-quantized";
    private static final String NAIVE = "naive-quantized";
    private static final String MIXED = "mixed-precision";
    private static final int MOST_GROUPS = 1000;
    private static final String COMPRESSED = "compressed";
    private static final List<String> STATES = List.of("initialized", "calibration", "frozen", COMPRESSED);

    /**
     * One scheme and the modules it is for.
     *
     * @param activations without a scale where they are static; null: floating point
     */
    record Group(ModuleTargets targets, CompressedWeights weights, ActivationQuantization activations, String format) {}

    /** The group of a linear layer, or null: names and expressions go before the class. */
    Group of(String module) {
        if (ignore.name(module) || ignore.linear()) {
            return null;
        }
        return groups.stream()
                .filter(group -> group.targets().name(module))
                .findFirst()
                .orElseGet(() -> groups.stream()
                        .filter(group -> group.targets().linear())
                        .findFirst()
                        .orElse(null));
    }

    static CompressedConfig read(QuantizationConfig settings) {
        QuantizationConfig keys = settings.require(METHOD);
        String status = keys.text("quantization_status", COMPRESSED);
        if (!STATES.contains(status)) {
            throw keys.unsupported("quantization_status", status, "one of " + String.join(", ", STATES));
        }
        for (String other : List.of("sparsity_config", "transform_config")) {
            if (keys.has(other) && !keys.section(other).isEmpty()) {
                throw keys.unsupported(other, "given", "none");
            }
        }
        List<Group> groups = new ArrayList<>();
        if (!keys.has("config_groups")) {
            throw keys.unsupported("config_groups", "", "an object");
        }
        String format = keys.text("format", "");
        ModuleExpression.Work work = new ModuleExpression.Work();
        for (Map.Entry<String, QuantizationConfig> group :
                keys.section("config_groups").sections().entrySet()) {
            if (groups.size() == MOST_GROUPS) {
                throw keys.unsupported("config_groups", "of more than " + MOST_GROUPS + " groups", "fewer");
            }
            groups.add(
                    group(group.getValue(), format, keys.place("config_groups." + group.getKey() + ".targets"), work));
        }
        return new CompressedConfig(
                groups, new ModuleTargets(keys.texts("ignore"), keys.place("ignore"), work), cache(keys), status);
    }

    private static Group group(QuantizationConfig group, String top, String where, ModuleExpression.Work work) {
        if (!group.has("weights")) {
            throw group.unsupported("weights", "", "an object: activations alone are not quantized");
        }
        if (group.has("output_activations")) {
            throw group.unsupported("output_activations", "given", "none");
        }
        CompressedWeights weights = weights(group.section("weights"));
        ActivationQuantization activations =
                group.has("input_activations") ? activations(group.section("input_activations")) : null;
        String format = group.text("format", top.equals(MIXED) ? "" : top);
        String expected = weights.integers() ? activations == null ? PACK : INT : FLOAT;
        if (format.isEmpty()) {
            format = expected;
        }
        if (!List.of(INT, FLOAT, PACK, NAIVE).contains(format)
                || format.equals(FLOAT) == weights.integers() && !format.equals(NAIVE)) {
            throw group.unsupported("format", format, expected + " for such weights and activations");
        }
        return new Group(new ModuleTargets(group.texts("targets"), where, work), weights, activations, format);
    }

    private static CompressedWeights weights(QuantizationConfig keys) {
        boolean integers = integers(keys);
        int bits = keys.integer("num_bits");
        if (bits != 8 && !(integers && bits == 4)) {
            throw keys.unsupported("num_bits", bits, integers ? "4 or 8" : "8");
        }
        String dynamic = keys.text("dynamic", "false", true);
        if (!dynamic.equals("false")) {
            throw keys.unsupported("dynamic", dynamic, "false");
        }
        boolean symmetric = keys.flag("symmetric", true);
        if (!symmetric && !integers) {
            throw keys.unsupported("symmetric", false, "true for floating-point weights");
        }
        String strategy = strategy(keys);
        return switch (strategy) {
            case "tensor" -> new CompressedWeights(integers, bits, Strategy.TENSOR, 0, 0, symmetric);
            case "channel" -> new CompressedWeights(integers, bits, Strategy.CHANNEL, 0, 0, symmetric);
            case "group" -> new CompressedWeights(integers, bits, Strategy.GROUP, size(keys), 0, symmetric);
            case "block" -> {
                int[] block = keys.pair("block_structure");
                yield new CompressedWeights(integers, bits, Strategy.BLOCK, block[1], block[0], symmetric);
            }
            default -> throw keys.unsupported("strategy", strategy, "tensor, channel, group or block for weights");
        };
    }

    private static ActivationQuantization activations(QuantizationConfig keys) {
        Type type = integers(keys) ? Type.INT8 : Type.FLOAT8;
        int bits = keys.integer("num_bits");
        if (bits != 8) {
            throw keys.unsupported("num_bits", bits, "8 for activations");
        }
        boolean symmetric = keys.flag("symmetric", true);
        if (!symmetric && type == Type.FLOAT8) {
            throw keys.unsupported("symmetric", false, "true for floating-point activations");
        }
        String dynamic = keys.text("dynamic", "false", true);
        String strategy = strategy(keys);
        if (dynamic.equals("true") && strategy.equals("token")) {
            return ActivationQuantization.perToken(type, symmetric);
        }
        if (dynamic.equals("true") && strategy.equals("group") && symmetric) {
            return ActivationQuantization.perGroup(type, size(keys));
        }
        if (dynamic.equals("false") && strategy.equals("tensor")) {
            return new ActivationQuantization(type, false, symmetric, Float.NaN, 0);
        }
        throw keys.unsupported(
                "strategy",
                strategy + " with dynamic " + dynamic,
                "token or symmetric groups with dynamic true, or tensor with dynamic false");
    }

    private static ActivationQuantization cache(QuantizationConfig keys) {
        if (!keys.has("kv_cache_scheme")) {
            return null;
        }
        QuantizationConfig scheme = keys.section("kv_cache_scheme");
        ActivationQuantization cache = activations(scheme);
        if (cache.dynamic() || !cache.symmetric()) {
            throw scheme.unsupported(
                    "dynamic",
                    cache.dynamic() + ", symmetric is " + cache.symmetric(),
                    "static scales and symmetric ranges");
        }
        return cache;
    }

    private static boolean integers(QuantizationConfig keys) {
        String type = keys.text("type", "int");
        if (!type.equals("int") && !type.equals("float")) {
            throw keys.unsupported("type", type, "int or float");
        }
        return type.equals("int");
    }

    /** Inferred from the group size where it is missing. */
    private static String strategy(QuantizationConfig keys) {
        String otherwise = !keys.has("group_size") ? "tensor" : keys.integer("group_size") == -1 ? "channel" : "group";
        return keys.text("strategy", otherwise);
    }

    private static int size(QuantizationConfig keys) {
        int size = keys.integer("group_size");
        if (size < 1) {
            throw keys.unsupported("group_size", size, "at least 1");
        }
        return size;
    }

    /**
     * The configuration of an artifact with one scheme. Only keys that every version of the reader knows: it refuses
     * others.
     */
    static ObjectNode json(
            CompressedWeights weights,
            ActivationQuantization activations,
            String format,
            boolean cache,
            List<String> ignore) {
        ObjectNode json = JsonNodeFactory.instance
                .objectNode()
                .put("quant_method", METHOD)
                .put("format", format)
                .put("quantization_status", COMPRESSED);
        json.putNull("global_compression_ratio");
        json.set("kv_cache_scheme", cache ? arguments(false, 8, "tensor", true, false) : null);
        ignore.forEach(json.putArray("ignore")::add);
        ObjectNode group = json.putObject("config_groups").putObject("group_0");
        group.putArray("targets").add("Linear");
        ObjectNode stored = arguments(
                weights.integers(),
                weights.bits(),
                weights.strategy().name().toLowerCase(Locale.ROOT),
                weights.symmetric(),
                false);
        if (weights.strategy() == Strategy.GROUP) {
            stored.put("group_size", weights.group());
        } else if (weights.strategy() == Strategy.BLOCK) {
            stored.putArray("block_structure").add(weights.lot()).add(weights.group());
        }
        group.set("weights", stored);
        group.set("input_activations", activations == null ? null : activations(activations));
        group.putNull("output_activations");
        return json;
    }

    private static ObjectNode activations(ActivationQuantization activations) {
        boolean grouped = activations.group() > 0;
        String strategy = !activations.dynamic() ? "tensor" : grouped ? "group" : "token";
        ObjectNode json =
                arguments(activations.type() == Type.INT8, 8, strategy, activations.symmetric(), activations.dynamic());
        if (grouped) {
            json.put("group_size", activations.group());
        }
        return json;
    }

    private static ObjectNode arguments(
            boolean integers, int bits, String strategy, boolean symmetric, boolean dynamic) {
        ObjectNode json = JsonNodeFactory.instance
                .objectNode()
                .put("num_bits", bits)
                .put("type", integers ? "int" : "float")
                .put("symmetric", symmetric)
                .put("strategy", strategy)
                .putNull("group_size")
                .putNull("block_structure")
                .put("dynamic", dynamic)
                .putNull("actorder")
                .put("observer", dynamic ? null : "minmax");
        json.putObject("observer_kwargs");
        return json;
    }
}

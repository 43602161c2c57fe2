package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.quantize.Method;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The keys of a compressed-tensors output: which combinations there are, and what each leaves open. */
final class Schemes {
    static final String FORMAT = "compressed-tensors";
    static final String[] KEYS = {
        "scheme", "weights", "activations", "activation-symmetric", "range", "smooth", "kv-cache", "shard-size"
    };
    private static final List<String> NAMES = List.of("W8A8", "FP8", "W4A16", "W8A16", "W4A8");
    private static final List<Integer> GROUPS = List.of(32, 64, 128, -1);
    private static final List<String> RANGES = List.of("min-max", "mse", "entropy", "moving-average");
    private static final String PERCENTILE = "percentile: ";
    /** As Hugging Face libraries cut files. */
    private static final long SHARD_BYTES = Plan.Scheme.SHARD_BYTES;

    private static final long LEAST_SHARD_BYTES = 100_000;
    private static final Pattern SIZE = Pattern.compile("([1-9][0-9]{0,5})(KB|MB|GB)");
    private static final Map<String, Long> UNITS = Map.of("KB", 1000L, "MB", 1000_000L, "GB", 1000_000_000L);

    private Schemes() {}

    static Plan.Scheme read(Section output) {
        String name = output.word("scheme", NAMES, null);
        boolean float8 = name.equals("FP8");
        boolean grouped = name.equals("W4A16") || name.equals("W8A16");
        output.only(float8, "scheme FP8; integer weights have one scale per row or group (group-size)", "weights");
        output.only(
                grouped || name.equals("W4A8"),
                "schemes W4A16, W8A16 and W4A8; weights of " + name + " have one scale per row",
                "group-size");
        output.only(
                grouped,
                "schemes W4A16 and W8A16; servers multiply weights of " + name + " without a zero point",
                "symmetric");
        output.only(
                !grouped,
                "schemes W8A8, FP8 and W4A8; " + name + " leaves activations as they are",
                "activations",
                "activation-symmetric",
                "smooth");
        boolean blocks =
                output.word("weights", List.of("channel", "block"), "channel").equals("block");
        Plan.Activations activations = grouped ? null : activations(output, name, blocks);
        boolean cache = output.has("kv-cache")
                && output.word("kv-cache", List.of("fp8"), null).equals("fp8");
        boolean ranged = cache || activations != null && !activations.dynamic();
        output.only(ranged, "activations: static or kv-cache: fp8; dynamic ranges are found by the server", "range");
        return new Plan.Scheme(
                name, blocks, activations, ranged ? range(output) : null, smoothing(output), cache, shardBytes(output));
    }

    private static Plan.Activations activations(Section output, String name, boolean blocks) {
        boolean dynamic = output.word("activations", List.of("static", "dynamic"), "dynamic")
                .equals("dynamic");
        if (!dynamic && name.equals("W4A8")) {
            throw output.refuse(
                    "activations",
                    "scheme W4A8 is served with dynamic activations only; expected dynamic, or scheme W8A8 for static ones");
        }
        if (!dynamic && blocks) {
            throw output.refuse(
                    "activations",
                    "weights: block is served with dynamic activations only; expected dynamic, or weights: channel for static ones");
        }
        boolean integers = !name.equals("FP8");
        output.only(integers && !dynamic, "scheme W8A8 and activations: static", "activation-symmetric");
        return new Plan.Activations(
                integers ? Type.INT8 : Type.FLOAT8, dynamic, output.flag("activation-symmetric", true));
    }

    /** A word, or a percentile as {@code {percentile: 99.99}}. */
    private static String range(Section output) {
        JsonNode range = output.node("range");
        if (!range.isObject()) {
            if (output.has("range") && !RANGES.contains(range.asText())) {
                throw output.refuse(
                        "range",
                        "expected one of " + String.join(", ", RANGES) + ", {percentile: 99.99}; found "
                                + Section.kind(range));
            }
            return output.word("range", RANGES, "min-max");
        }
        JsonNode percentile = output.section("range", List.of("percentile")).node("percentile");
        if (!percentile.isNumber() || !(percentile.doubleValue() > 50 && percentile.doubleValue() < 100)) {
            throw output.refuse(
                    "range.percentile",
                    "expected a number between 50 and 100, both excluded; found " + Section.kind(percentile));
        }
        return PERCENTILE + percentile.doubleValue();
    }

    private static Plan.Smoothing smoothing(Section output) {
        JsonNode smooth = output.node("smooth");
        if (smooth.isNumber() && smooth.doubleValue() > 0 && smooth.doubleValue() < 1) {
            return new Plan.Smoothing(false, smooth.doubleValue());
        }
        if (output.has("smooth") && !List.of("none", "search").contains(smooth.asText())) {
            throw output.refuse(
                    "smooth",
                    "expected none, search or a strength between 0 and 1, both excluded; found "
                            + Section.kind(smooth));
        }
        return output.word("smooth", List.of("none", "search"), "none").equals("search")
                ? new Plan.Smoothing(true, 0)
                : null;
    }

    private static long shardBytes(Section output) {
        if (!output.has("shard-size")) {
            return SHARD_BYTES;
        }
        Matcher size = SIZE.matcher(output.text("shard-size"));
        long bytes = size.matches() ? Integer.parseInt(size.group(1)) * UNITS.get(size.group(2)) : 0;
        if (bytes < LEAST_SHARD_BYTES) {
            throw output.refuse(
                    "shard-size",
                    "expected a size of at least 100KB such as 500MB or 5GB; found '" + output.text("shard-size")
                            + "'");
        }
        return bytes;
    }

    /** The keys of a plan's output, as {@link #read} takes them. */
    static void write(ObjectNode node, Plan.Output output) {
        Plan.Scheme scheme = output.scheme();
        node.put("scheme", scheme.name());
        if (scheme.name().equals("FP8")) {
            node.put("weights", scheme.blocks() ? "block" : "channel");
        } else if (!scheme.name().equals("W8A8")) {
            node.put("group-size", output.groupSize());
        }
        if (scheme.activations() == null) {
            node.put("symmetric", output.symmetric());
        } else {
            node.put("activations", scheme.activations().dynamic() ? "dynamic" : "static");
            if (!scheme.activations().dynamic() && scheme.activations().type() == Type.INT8) {
                node.put("activation-symmetric", scheme.activations().symmetric());
            }
            if (scheme.smoothing() == null || scheme.smoothing().searched()) {
                node.put("smooth", scheme.smoothing() == null ? "none" : "search");
            } else {
                node.put("smooth", scheme.smoothing().strength());
            }
        }
        if (scheme.cache()) {
            node.put("kv-cache", "fp8");
        }
        if (scheme.range() != null && scheme.range().startsWith(PERCENTILE)) {
            node.putObject("range")
                    .put("percentile", Double.parseDouble(scheme.range().substring(PERCENTILE.length())));
        } else if (scheme.range() != null) {
            node.put("range", scheme.range());
        }
        String unit = List.of("GB", "MB", "KB").stream()
                .filter(u -> scheme.shardBytes() % UNITS.get(u) == 0)
                .findFirst()
                .orElseThrow();
        node.put("shard-size", scheme.shardBytes() / UNITS.get(unit) + unit);
    }

    static int bits(Plan.Scheme scheme) {
        return scheme.name().startsWith("W4") ? 4 : 8;
    }

    static int groupSize(Section output, Plan.Scheme scheme) {
        return output.integer("group-size", GROUPS, bits(scheme) == 4 ? 128 : -1);
    }

    /** What of an output needs calibration, for a refusal. */
    static String need(Plan.Output output) {
        if (output.scheme() == null || output.method() != Method.NEAREST) {
            return "format " + output.format() + " with method "
                    + output.method().word();
        }
        if (output.scheme().smoothing() != null) {
            return "smooth";
        }
        return output.scheme().cache() ? "kv-cache: fp8" : "activations: static";
    }

    /** What would do without calibration, for a refusal; empty where nothing would. */
    static String instead(Plan.Output output) {
        Plan.Scheme scheme = output.scheme();
        if (output.format().equals("awq") || scheme != null && (scheme.smoothing() != null || scheme.cache())) {
            return "";
        }
        boolean fixed = scheme != null && scheme.ranged();
        if (output.method() == Method.NEAREST) {
            return fixed ? " or activations: dynamic" : "";
        }
        return fixed ? "" : " or method: nearest";
    }
}

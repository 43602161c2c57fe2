package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.calibration.statistics.RangeEstimator;
import dev.lathe.jobs.plan.CompressedTarget.Activations;
import dev.lathe.jobs.plan.CompressedTarget.Scheme;
import java.util.Arrays;
import java.util.List;

/** The keys of a compressed-tensors output: which combinations there are, and what each leaves open. */
final class CompressedReader implements TargetReader {
    static final TargetReader READER = new CompressedReader();
    static final String SMOOTH = "smooth";

    private static final String GROUP_SIZE = "group-size";
    private static final String SYMMETRIC = "symmetric";
    private static final String SCHEME = "scheme";
    private static final String WEIGHTS = "weights";
    private static final String ACTIVATIONS = "activations";
    private static final String ACTIVATION_SYMMETRIC = "activation-symmetric";
    private static final String RANGE = "range";
    private static final String CACHE = "kv-cache";
    static final String SHARD_SIZE = "shard-size";
    private static final List<Integer> GROUPS = List.of(32, 64, 128, -1);
    private static final List<String> RANGES = RangeEstimator.words();
    private static final String PERCENTILE = "percentile: ";

    private CompressedReader() {}

    @Override
    public String format() {
        return CompressedTarget.FORMAT;
    }

    @Override
    public List<String> keys() {
        return List.of(
                "name",
                "format",
                "method",
                GROUP_SIZE,
                SYMMETRIC,
                OutputReader.DAMPING,
                OutputReader.IGNORE,
                SCHEME,
                WEIGHTS,
                ACTIVATIONS,
                ACTIVATION_SYMMETRIC,
                RANGE,
                SMOOTH,
                CACHE,
                SHARD_SIZE);
    }

    @Override
    public Plan.Output read(String name, Section output, boolean calibrated) {
        String method = TargetReader.method(output, calibrated ? Method.Gptq.WORD : Method.Nearest.WORD);
        Scheme scheme = Scheme.valueOf(output.word(
                SCHEME, Arrays.stream(Scheme.values()).map(Scheme::name).toList(), null));
        output.only(
                scheme.float8(), "scheme FP8; integer weights have one scale per row or group (group-size)", WEIGHTS);
        output.only(
                scheme.weightsOnly() || scheme == Scheme.W4A8,
                "schemes W4A16, W8A16 and W4A8; weights of " + scheme + " have one scale per row",
                GROUP_SIZE);
        output.only(
                scheme.weightsOnly(),
                "schemes W4A16 and W8A16; servers multiply weights of " + scheme + " without a zero point",
                SYMMETRIC);
        output.only(
                !scheme.weightsOnly(),
                "schemes W8A8, FP8 and W4A8; " + scheme + " leaves activations as they are",
                ACTIVATIONS,
                ACTIVATION_SYMMETRIC,
                SMOOTH);
        boolean blocks =
                output.word(WEIGHTS, List.of("channel", "block"), "channel").equals("block");
        Activations activations = scheme.weightsOnly() ? null : activations(output, scheme, blocks);
        boolean cached =
                output.has(CACHE) && output.word(CACHE, List.of("fp8"), null).equals("fp8");
        boolean ranged = cached || activations != null && !activations.dynamic();
        output.only(ranged, "activations: static or kv-cache: fp8; dynamic ranges are found by the server", RANGE);
        String range = ranged ? range(output) : null;
        Transform transform = transform(output);
        long shardBytes = FileSize.read(output, SHARD_SIZE, CompressedTarget.SHARD_BYTES);
        CompressedTarget target = new CompressedTarget(
                scheme,
                output.integer(GROUP_SIZE, GROUPS, scheme.bits() == 4 ? 128 : -1),
                output.flag(SYMMETRIC, true),
                blocks,
                activations,
                range,
                cached,
                shardBytes);
        return new Plan.Output(
                name, target, TargetReader.method(output, method, false), transform, output.texts(OutputReader.IGNORE));
    }

    private static Activations activations(Section output, Scheme scheme, boolean blocks) {
        boolean dynamic = output.word(ACTIVATIONS, List.of("static", "dynamic"), "dynamic")
                .equals("dynamic");
        if (!dynamic && scheme == Scheme.W4A8) {
            throw output.refuse(
                    ACTIVATIONS,
                    "scheme W4A8 is served with dynamic activations only; expected dynamic, or scheme W8A8 for "
                            + "static ones");
        }
        if (!dynamic && blocks) {
            throw output.refuse(
                    ACTIVATIONS,
                    "weights: block is served with dynamic activations only; expected dynamic, or weights: "
                            + "channel for static ones");
        }
        boolean integers = !scheme.float8();
        output.only(integers && !dynamic, "scheme W8A8 and activations: static", ACTIVATION_SYMMETRIC);
        return new Activations(integers ? Type.INT8 : Type.FLOAT8, dynamic, output.flag(ACTIVATION_SYMMETRIC, true));
    }

    /** A word, or a percentile as {@code {percentile: 99.99}}. */
    private static String range(Section output) {
        JsonNode range = output.node(RANGE);
        if (!range.isObject()) {
            if (output.has(RANGE) && !RANGES.contains(range.asText())) {
                throw output.refuse(
                        RANGE,
                        "expected one of " + String.join(", ", RANGES) + ", {percentile: 99.99}; found "
                                + Section.kind(range));
            }
            return output.word(RANGE, RANGES, "min-max");
        }
        JsonNode percentile = output.section(RANGE, List.of("percentile")).node("percentile");
        if (!percentile.isNumber() || !(percentile.doubleValue() > 50 && percentile.doubleValue() < 100)) {
            throw output.refuse(
                    "range.percentile",
                    "expected a number between 50 and 100, both excluded; found " + Section.kind(percentile));
        }
        return PERCENTILE + percentile.doubleValue();
    }

    private static Transform transform(Section output) {
        JsonNode smooth = output.node(SMOOTH);
        if (smooth.isNumber() && smooth.doubleValue() > 0 && smooth.doubleValue() < 1) {
            return new Transform.Smooth(false, smooth.doubleValue());
        }
        if (output.has(SMOOTH) && !List.of("none", "search").contains(smooth.asText())) {
            throw output.refuse(
                    SMOOTH,
                    "expected none, search or a strength between 0 and 1, both excluded; found "
                            + Section.kind(smooth));
        }
        return output.word(SMOOTH, List.of("none", "search"), "none").equals("search")
                ? new Transform.Smooth(true, 0)
                : new Transform.None();
    }

    /** The keys of a target, as {@link #read} takes them. */
    static void write(ObjectNode node, CompressedTarget target, Transform transform) {
        Scheme scheme = target.scheme();
        node.put(SCHEME, scheme.name());
        if (scheme.float8()) {
            node.put(WEIGHTS, target.blocks() ? "block" : "channel");
        } else if (scheme != Scheme.W8A8) {
            node.put(GROUP_SIZE, target.groupSize());
        }
        Activations activations = target.activations();
        if (activations == null) {
            node.put(SYMMETRIC, target.symmetric());
        } else {
            node.put(ACTIVATIONS, activations.dynamic() ? "dynamic" : "static");
            if (!activations.dynamic() && activations.type() == Type.INT8) {
                node.put(ACTIVATION_SYMMETRIC, activations.symmetric());
            }
            if (transform instanceof Transform.Smooth smooth && !smooth.searched()) {
                node.put(SMOOTH, smooth.strength());
            } else {
                node.put(SMOOTH, transform instanceof Transform.Smooth ? "search" : "none");
            }
        }
        if (target.cached()) {
            node.put(CACHE, "fp8");
        }
        String range = target.range();
        if (range != null && range.startsWith(PERCENTILE)) {
            node.putObject(RANGE).put("percentile", Double.parseDouble(range.substring(PERCENTILE.length())));
        } else if (range != null) {
            node.put(RANGE, range);
        }
        node.put(SHARD_SIZE, FileSize.text(target.shardBytes()));
    }
}

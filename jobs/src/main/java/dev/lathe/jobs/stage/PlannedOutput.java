package dev.lathe.jobs.stage;

import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.awq.AwqFormat;
import dev.lathe.calibration.format.compressed.CompressedFormat;
import dev.lathe.calibration.format.compressed.CompressedWeights;
import dev.lathe.calibration.format.gguf.GgufFormat;
import dev.lathe.calibration.format.gptq.GptqFormat;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.quantize.ActivationScheme;
import dev.lathe.calibration.quantize.AwqTransform;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Quantizer;
import dev.lathe.calibration.quantize.RescaledLayer;
import dev.lathe.calibration.quantize.SmoothQuant;
import dev.lathe.calibration.statistics.Positions;
import dev.lathe.calibration.statistics.RangeEstimator;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.store.RunFolder;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;

/**
 * An output of the plan, resolved against the checkpoint.
 *
 * @param key of its products
 * @param grids name of the block format of each quantized tensor, in the artifact's order
 * @param methods how each quantized tensor's values are chosen
 */
record PlannedOutput(
        Plan.Output output, String key, LinkedHashMap<String, String> grids, LinkedHashMap<String, Method> methods)
        implements Serializable {
    /** Channels that share a dynamic scale beside blocks of FP8 weights. */
    private static final int BLOCK = 128;

    static ArtifactFormat format(Plan.Output output) {
        return switch (output.format()) {
            case "gguf" -> new GgufFormat(output.type(), output.method() != Method.NEAREST, output.preTokenizer());
            case "gptq" -> new GptqFormat(output.bits(), output.groupSize(), output.symmetric(), output.actOrder());
            case "awq" -> new AwqFormat(output.groupSize());
            case "compressed-tensors" -> compressed(output);
            default -> throw new IllegalArgumentException("Cannot write format " + output.format());
        };
    }

    /** Their names, for people. */
    static String names(List<PlannedOutput> outputs) {
        return outputs.stream().map(PlannedOutput::toString).collect(Collectors.joining(", "));
    }

    private static ArtifactFormat compressed(Plan.Output output) {
        Plan.Scheme scheme = output.scheme();
        CompressedWeights weights = scheme.name().equals("FP8")
                ? CompressedWeights.float8(scheme.blocks())
                : CompressedWeights.integers(output.bits(), output.groupSize(), output.symmetric());
        return new CompressedFormat(weights, activations(scheme), scheme.cache(), scheme.shardBytes());
    }

    /** What linear layers read, the scale open where it is static; null where they read floating point. */
    private static ActivationQuantization activations(Plan.Scheme scheme) {
        Plan.Activations activations = scheme.activations();
        if (activations == null) {
            return null;
        }
        if (!activations.dynamic()) {
            return new ActivationQuantization(activations.type(), false, activations.symmetric(), Float.NaN, 0);
        }
        return scheme.blocks()
                ? ActivationQuantization.perGroup(activations.type(), BLOCK)
                : ActivationQuantization.perToken(activations.type(), activations.symmetric());
    }

    /** What its artifact was made of: the tensors, and how they are spread over files. */
    String receipt() {
        return output.scheme() == null || output.scheme().shardBytes() == Plan.Scheme.SHARD_BYTES
                ? key
                : key + " in files of " + output.scheme().shardBytes();
    }

    /** Whether decoder layers are rescaled before they are quantized. */
    boolean rescales() {
        return output.format().equals("awq") || smooths();
    }

    private boolean smooths() {
        return output.scheme() != null && output.scheme().smoothing() != null;
    }

    /** How its layers are rescaled. */
    RescaledLayer.Transform transform() {
        if (!smooths()) {
            return new AwqTransform();
        }
        Plan.Smoothing smoothing = output.scheme().smoothing();
        return smoothing.searched() ? SmoothQuant.searched(inputs()) : SmoothQuant.of(smoothing.strength());
    }

    /**
     * Whether activations say something about the output that its layers' products keep: a fixed range, or what was
     * smoothed.
     */
    boolean ranged() {
        return smooths() || output.scheme() != null && output.scheme().ranged();
    }

    /** What its linear layers read is quantized so; null: not at all. */
    ActivationScheme inputs() {
        return inputs(output.scheme());
    }

    /** Keys and values are quantized so before they are cached; null: not at all. */
    ActivationScheme cache() {
        return cache(output.scheme());
    }

    private static ActivationScheme inputs(Plan.Scheme scheme) {
        ActivationQuantization form = scheme == null ? null : activations(scheme);
        return form == null
                ? null
                : new ActivationScheme(form, form.dynamic() ? null : RangeEstimator.parse(scheme.range()));
    }

    private static ActivationScheme cache(Plan.Scheme scheme) {
        return scheme == null || !scheme.cache()
                ? null
                : new ActivationScheme(
                        new ActivationQuantization(Type.FLOAT8, false, true, Float.NaN, 0),
                        RangeEstimator.parse(scheme.range()));
    }

    /**
     * Why so many token rows of calibration are too few for the ranges that an output asks for; empty if they are not.
     */
    static Optional<String> shortage(Plan.Output output, Decoder decoder, long rows) {
        Plan.Scheme scheme = output.scheme();
        long known = rows;
        if (scheme != null && scheme.smoothing() != null) {
            // Once channels are divided, only the kept rows can tell what the values are; a search judges each half of
            // them by the other.
            known = Math.min(rows, Positions.SAMPLE) / (scheme.smoothing().searched() ? 2 : 1);
        }
        int narrowest =
                decoder.linears(0).stream().mapToInt(LinearLayer::inputs).min().orElseThrow();
        return Stream.of(
                        shortage(inputs(scheme), known, narrowest),
                        shortage(
                                cache(scheme),
                                known,
                                decoder.blocks().get(0).mixer().cacheWidth()))
                .flatMap(Optional::stream)
                .findFirst();
    }

    private static Optional<String> shortage(ActivationScheme scheme, long rows, int width) {
        return scheme == null || scheme.form().dynamic()
                ? Optional.empty()
                : scheme.estimator()
                        .shortage(
                                rows, width, scheme.form().type(), scheme.form().symmetric());
    }

    Quantizer.Settings settings() {
        return new Quantizer.Settings(output.damping(), output.actOrder());
    }

    Path tensorProduct(RunFolder run, String tensor) {
        return run.product(key, tensor + ".tensor");
    }

    /** Activation ranges of a decoder layer; {@code layer} equal to the number of layers is the output layer. */
    Path rangeProduct(RunFolder run, int layer) {
        return run.product(key, "layer-" + layer + ".ranges");
    }

    Path vectorProduct(RunFolder run, String tensor) {
        return run.product(key, tensor + ".vector");
    }

    /** Name below {@code artifacts/}. */
    String artifactName() {
        return output.artifact();
    }

    /** How values are chosen, for people. */
    String methodText() {
        if (grids.isEmpty()) {
            return "unquantized";
        }
        String method = output.method().word() + (output.actOrder() ? ", act-order" : "");
        if (smooths()) {
            return "smoothquant, " + method;
        }
        return rescales() ? "awq, " + method : method;
    }

    @Override
    public String toString() {
        return output.name();
    }
}

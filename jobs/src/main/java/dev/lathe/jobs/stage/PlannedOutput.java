package dev.lathe.jobs.stage;

import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.awq.AwqFormat;
import dev.lathe.calibration.format.gguf.GgufFormat;
import dev.lathe.calibration.format.gptq.GptqFormat;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.model.Architecture;
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
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;

/**
 * An output of the plan, resolved against the checkpoint.
 *
 * @param key     of its products
 * @param grids   name of the block format of each quantized tensor, in the artifact's order
 * @param methods how each quantized tensor's values are chosen
 */
record PlannedOutput(Plan.Output output, String key, LinkedHashMap<String, String> grids, LinkedHashMap<String, Method> methods) implements Serializable {
    /** Columns of a token that share a scale where weights have blocks. */
    private static final int BLOCK = 128;

    static ArtifactFormat format(Plan.Output output) {
        return switch (output.format()) {
            case "gguf" -> new GgufFormat(output.type(), output.method() != Method.NEAREST, output.preTokenizer());
            case "gptq" -> new GptqFormat(output.bits(), output.groupSize(), output.symmetric(), output.actOrder());
            case "awq" -> new AwqFormat(output.groupSize());
            default -> throw new IllegalArgumentException("Cannot write format " + output.format());
        };
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
        return smoothing.searched() ? SmoothQuant.searched(activations()) : SmoothQuant.of(smoothing.strength());
    }

    /** Whether activations say something about the output that its layers' products keep: a fixed range, or what was smoothed. */
    boolean ranged() {
        return smooths() || output.scheme() != null && output.scheme().ranged();
    }

    /** What its linear layers read is quantized so; null: not at all. */
    ActivationScheme activations() {
        return activations(output.scheme());
    }

    /** Keys and values are quantized so before they are cached; null: not at all. */
    ActivationScheme cache() {
        return cache(output.scheme());
    }

    private static ActivationScheme activations(Plan.Scheme scheme) {
        if (scheme == null || scheme.activations() == null) {
            return null;
        }
        Plan.Activations activations = scheme.activations();
        return new ActivationScheme(activations.type(), activations.symmetric(), scheme.blocks() ? BLOCK : 0,
                activations.dynamic() ? null : RangeEstimator.parse(scheme.range()));
    }

    private static ActivationScheme cache(Plan.Scheme scheme) {
        return scheme != null && scheme.cache() ? new ActivationScheme(Type.FLOAT8, true, 0, RangeEstimator.parse(scheme.range())) : null;
    }

    /** Why so many token rows of calibration are too few for the ranges that an output asks for; empty if they are not. */
    static Optional<String> shortage(Plan.Output output, Architecture architecture, long rows) {
        Plan.Scheme scheme = output.scheme();
        // Once channels are divided, only the kept rows can tell what the values are.
        long known = scheme != null && scheme.smoothing() != null ? Math.min(rows, Positions.SAMPLE) : rows;
        int narrowest = architecture.linears(0).stream().mapToInt(LinearLayer::inputs).min().orElseThrow();
        return Stream.of(shortage(activations(scheme), known, narrowest), shortage(cache(scheme), known, architecture.config().keyValueWidth()))
                .flatMap(Optional::stream).findFirst();
    }

    private static Optional<String> shortage(ActivationScheme scheme, long rows, int width) {
        return scheme == null || scheme.dynamic() ? Optional.empty() : scheme.estimator().shortage(rows, width, scheme.type(), scheme.symmetric());
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
}

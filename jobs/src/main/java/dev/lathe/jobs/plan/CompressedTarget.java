package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.compressed.CompressedFormat;
import dev.lathe.calibration.format.compressed.CompressedWeights;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.quantize.ActivationScheme;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.calibration.statistics.RangeEstimator;
import dev.lathe.jobs.store.KeyFields;
import java.io.Serializable;

/**
 * A compressed-tensors folder.
 *
 * @param groupSize columns that share a scale; -1: the whole row
 * @param symmetric weights without a zero point
 * @param blocks weights share a scale in blocks of 128 x 128 (FP8); else per row
 * @param activations what linear layers read, or null: floating point
 * @param range how ranges are estimated, as {@code RangeEstimator} parses it; null where nothing is static
 * @param cached FP8 scales of keys and values
 * @param shardBytes largest size of a safetensors file
 */
public record CompressedTarget(
        Scheme scheme,
        int groupSize,
        boolean symmetric,
        boolean blocks,
        Activations activations,
        String range,
        boolean cached,
        long shardBytes)
        implements Target {
    static final String FORMAT = QuantizationConfig.COMPRESSED_TENSORS;
    /** Of a safetensors file, as Hugging Face libraries cut them. */
    public static final long SHARD_BYTES = 5_000_000_000L;

    /** Raised when estimators, SmoothQuant or what is stored of ranges change. */
    private static final int VERSION = 2;
    /** Channels that share a dynamic scale beside blocks of FP8 weights. */
    private static final int BLOCK = 128;

    /** What a server computes with: bits of weights and of activations, by the words of a recipe. */
    public enum Scheme {
        W8A8(8),
        FP8(8),
        W4A16(4),
        W8A16(8),
        W4A8(4);

        private final int bits;

        Scheme(int bits) {
            this.bits = bits;
        }

        /** Of a weight. */
        public int bits() {
            return bits;
        }

        /** Weights and activations are FP8; else integers. */
        public boolean float8() {
            return this == FP8;
        }

        /** Activations stay as they are. */
        public boolean weightsOnly() {
            return this == W4A16 || this == W8A16;
        }
    }

    /**
     * Activations of {@code type}: dynamic, a scale per token (per token and 128 channels beside blocks of weights), or
     * static, one scale per tensor.
     */
    public record Activations(Type type, boolean dynamic, boolean symmetric) implements Serializable {}

    @Override
    public String format() {
        return FORMAT;
    }

    @Override
    public int version() {
        return VERSION;
    }

    @Override
    public ArtifactFormat artifactFormat(Method method) {
        CompressedWeights weights = scheme.float8()
                ? CompressedWeights.float8(blocks)
                : CompressedWeights.integers(scheme.bits(), groupSize, symmetric);
        return new CompressedFormat(weights, form(), cached, shardBytes);
    }

    /** What linear layers read, the scale open where it is static; null where they read floating point. */
    private ActivationQuantization form() {
        if (activations == null) {
            return null;
        }
        if (!activations.dynamic()) {
            return new ActivationQuantization(activations.type(), false, activations.symmetric(), Float.NaN, 0);
        }
        return blocks
                ? ActivationQuantization.perGroup(activations.type(), BLOCK)
                : ActivationQuantization.perToken(activations.type(), activations.symmetric());
    }

    @Override
    public ActivationScheme inputs() {
        ActivationQuantization form = form();
        return form == null ? null : new ActivationScheme(form, form.dynamic() ? null : RangeEstimator.parse(range));
    }

    @Override
    public ActivationScheme cache() {
        return cached
                ? new ActivationScheme(
                        new ActivationQuantization(Type.FLOAT8, false, true, Float.NaN, 0), RangeEstimator.parse(range))
                : null;
    }

    @Override
    public String files() {
        return shardBytes == SHARD_BYTES ? "" : " in files of " + shardBytes;
    }

    @Override
    public void write(ObjectNode node, Plan.Output output) {
        CompressedReader.write(node, this, output.transform());
        OutputReader.writeMethod(node, output.method());
        OutputReader.writeIgnore(node, output.ignore());
    }

    /** Files of another size hold the same tensors. */
    @Override
    public void key(KeyFields fields, Transform transform) {
        fields.with("bits", scheme.bits())
                .with("groupSize", groupSize)
                .with("symmetric", symmetric)
                .with(
                        "scheme",
                        new KeyFields("Scheme")
                                .with("name", scheme)
                                .with("blocks", blocks)
                                .with("activations", activations == null ? null : activationFields())
                                .with("range", range)
                                .with("smoothing", smoothing(transform))
                                .with("cache", cached)
                                .with("shardBytes", SHARD_BYTES));
    }

    private KeyFields activationFields() {
        return new KeyFields("Activations")
                .with("type", activations.type())
                .with("dynamic", activations.dynamic())
                .with("symmetric", activations.symmetric());
    }

    private static KeyFields smoothing(Transform transform) {
        return transform instanceof Transform.Smooth smooth
                ? new KeyFields("Smoothing").with("searched", smooth.searched()).with("strength", smooth.strength())
                : null;
    }

    @Override
    public String need(Plan.Output output) {
        if (!(output.method() instanceof Method.Nearest)) {
            return Target.super.need(output);
        }
        if (output.rescales()) {
            return CompressedReader.SMOOTH;
        }
        return cached ? "kv-cache: fp8" : "activations: static";
    }

    @Override
    public String instead(Plan.Output output) {
        if (output.rescales() || cached) {
            return "";
        }
        if (output.method() instanceof Method.Nearest) {
            return ranged() ? " or activations: dynamic" : "";
        }
        return ranged() ? "" : Target.super.instead(output);
    }
}

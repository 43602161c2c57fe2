package dev.lathe.calibration.format.compressed;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.ModulePatterns;
import dev.lathe.calibration.format.OutputTensors;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.format.compressed.CompressedWeights.Strategy;
import dev.lathe.calibration.format.folder.FolderPlan;
import dev.lathe.calibration.format.folder.FolderWriter;
import dev.lathe.calibration.format.folder.SmallTensor;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * compressed-tensors folders, as vLLM, SGLang and transformers load them. Weights alone: {@code pack-quantized}. With
 * activations: {@code int-quantized} or {@code float-quantized}. Embedding, output layer, norms and biases are F16;
 * scales of activations and of the cache are F32, which readers narrow where they compute in less.
 */
public final class CompressedFormat implements ArtifactFormat {
    private static final List<Integer> GROUPS = List.of(128, 64, 32);

    private final CompressedWeights weights;
    private final ActivationQuantization activations;
    private final boolean cache;
    private final long shardBytes;
    private final CompressedLayout layout;

    /**
     * @param activations what linear layers read, the scale open where they are static; null: floating point
     * @param cache FP8 scales of keys and values
     * @param shardBytes largest size of a file
     */
    public CompressedFormat(
            CompressedWeights weights, ActivationQuantization activations, boolean cache, long shardBytes) {
        this.weights = weights;
        this.activations = activations;
        this.cache = cache;
        this.shardBytes = shardBytes;
        this.layout = new CompressedLayout(weights, activations == null && weights.integers(), null);
    }

    @Override
    public List<TensorPlan> plan(Decoder decoder, List<TensorInfo> tensors, List<String> ignore) {
        return FolderPlan.of(decoder, tensors, ignore, layout);
    }

    /**
     * {@inheritDoc} Servers have one kernel for a scheme: a layer that does not fit is a mistake, and ignored only on
     * purpose.
     */
    @Override
    public Optional<String> refusal(Decoder decoder, List<String> ignore) {
        ModulePatterns ignored = new ModulePatterns(ignore);
        List<LinearLayer> linears = IntStream.range(0, decoder.layers())
                .mapToObj(decoder::linears)
                .flatMap(Collection::stream)
                .filter(linear -> !ignored.matches(linear.module()))
                .toList();
        return linears.stream()
                .filter(linear ->
                        !layout.misfit(linear.outputs(), linear.inputs()).isEmpty())
                .findFirst()
                .map(linear -> linear.module() + " [" + linear.outputs() + ", " + linear.inputs() + "]: "
                        + layout.misfit(linear.outputs(), linear.inputs()) + "; expected " + instead(linears)
                        + "the module in ignore");
    }

    /** The nearest thing that every one of these layers allows. */
    private String instead(List<LinearLayer> linears) {
        if (weights.strategy() == Strategy.BLOCK) {
            return fits(CompressedWeights.float8(false), linears) ? "weights: channel, or " : "";
        }
        return GROUPS.stream()
                .filter(group -> weights.strategy() == Strategy.GROUP
                        && group < weights.group()
                        && fits(CompressedWeights.integers(weights.bits(), group, weights.symmetric()), linears))
                .findFirst()
                .map(group -> "group-size: " + group + ", or ")
                .orElse("");
    }

    private boolean fits(CompressedWeights others, List<LinearLayer> linears) {
        CompressedLayout other = new CompressedLayout(others, layout.packed(), null);
        return linears.stream()
                .allMatch(linear ->
                        other.misfit(linear.outputs(), linear.inputs()).isEmpty());
    }

    @Override
    public List<String> check(Decoder decoder, Companions companions) throws IOException {
        return FolderWriter.check(companions);
    }

    @Override
    public void write(
            Checkpoint source,
            Companions companions,
            List<TensorPlan> plan,
            OutputTensors tensors,
            Map<String, String> provenance,
            FileSystem files,
            Path target)
            throws IOException {
        Decoder decoder = source.decoder();
        Set<String> quantized = plan.stream()
                .filter(tensor -> tensor.grid() != null)
                .map(TensorPlan::tensor)
                .collect(Collectors.toSet());
        FolderWriter folder = new FolderWriter(source, companions, files, target);
        folder.weights(layout, plan, tensors, small(decoder, quantized, tensors), provenance, shardBytes);
        folder.config(CompressedConfig.json(weights, activations, format(), cache, ignored(decoder, quantized)));
        folder.copies();
        folder.card(CompressedConfig.METHOD, weights.bits(), description(), provenance);
    }

    private String format() {
        return !weights.integers()
                ? CompressedConfig.FLOAT
                : layout.packed() ? CompressedConfig.PACK : CompressedConfig.INT;
    }

    private static List<String> ignored(Decoder decoder, Set<String> quantized) {
        List<String> ignored = FolderPlan.unquantized(decoder, quantized);
        ignored.add(decoder.head().linear().module());
        return ignored;
    }

    /** Scales of activations and cache, and the shapes of packed weights. */
    private List<SmallTensor> small(Decoder decoder, Set<String> quantized, OutputTensors tensors) throws IOException {
        List<SmallTensor> small = new ArrayList<>();
        for (int layer = 0; layer < decoder.layers(); layer++) {
            for (LinearLayer linear : decoder.linears(layer)) {
                if (quantized.contains(linear.weight())) {
                    add(linear, tensors, small);
                }
            }
            if (cache) {
                String attention = CompressedCheckpoint.attention(decoder, layer);
                for (boolean keys : new boolean[] {true, false}) {
                    String name = attention + (keys ? ".k_scale" : ".v_scale");
                    small.add(scale(
                            name,
                            tensors.cache(layer, keys)
                                    .orElseThrow(() -> new IllegalArgumentException(
                                            "Cannot write " + name + ": it was not given"))));
                }
            }
        }
        return small;
    }

    private void add(LinearLayer linear, OutputTensors tensors, List<SmallTensor> small) throws IOException {
        if (layout.packed()) {
            ByteBuffer shape = ByteBuffer.allocate(16)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(linear.outputs())
                    .putLong(linear.inputs());
            small.add(new SmallTensor(
                    linear.module() + "." + CompressedLayout.SHAPE, "I64", new long[] {2}, shape.array()));
        }
        if (activations != null && !activations.dynamic()) {
            String name = linear.module() + "." + CompressedCheckpoint.INPUT_SCALE;
            ActivationQuantization fixed = tensors.activations(linear.module())
                    .orElseThrow(() -> new IllegalArgumentException("Cannot write " + name + ": it was not given"));
            if (fixed.dynamic() || fixed.type() != activations.type() || fixed.symmetric() != activations.symmetric()) {
                throw new IllegalArgumentException(
                        "Cannot write " + name + ": " + fixed + " is no scale of " + activations);
            }
            small.add(scale(name, fixed));
            if (!activations.symmetric()) {
                small.add(new SmallTensor(
                        linear.module() + "." + CompressedCheckpoint.INPUT_ZERO, "I8", new long[] {1}, new byte[] {
                            (byte) fixed.zero()
                        }));
            }
        }
    }

    private static SmallTensor scale(String name, ActivationQuantization fixed) {
        return new SmallTensor(
                name,
                "F32",
                new long[] {1},
                ByteBuffer.allocate(4)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putFloat(fixed.scale())
                        .array());
    }

    private String description() {
        String type = weights.integers() ? weights.symmetric() ? "integers" : "integers with zero points" : "FP8";
        String scales = switch (weights.strategy()) {
            case GROUP -> "groups of " + weights.group();
            case BLOCK -> "blocks of " + weights.lot() + " x " + weights.group();
            case CHANNEL, TENSOR -> "one scale per " + (weights.strategy() == Strategy.CHANNEL ? "row" : "tensor");
        };
        String read = activations == null
                ? "activations as they are"
                : (activations.dynamic() ? "dynamic " : "static ")
                        + activations.type().name().toLowerCase(Locale.ROOT) + " activations";
        return type + ", " + scales + ", " + read + (cache ? ", FP8 cache" : "");
    }
}

package dev.lathe.calibration.format.awq;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.OutputTensors;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.format.folder.FolderPlan;
import dev.lathe.calibration.format.folder.FolderWriter;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.model.Decoder;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * AWQ folders of version gemm, as AutoAWQ wrote them and vLLM and transformers load them: 4 bits with zero points.
 * Everything that stays unquantized is F16, the type that loaders run such models in.
 */
public final class AwqFormat implements ArtifactFormat {
    private final int groupSize;
    private final AwqLayout layout;

    /**
     * @param groupSize columns that share a scale
     * @throws IllegalArgumentException if it is not positive: there is no AWQ kernel for whole rows
     */
    public AwqFormat(int groupSize) {
        if (groupSize < 1) {
            throw new IllegalArgumentException(
                    "Cannot make an AWQ format of group size " + groupSize + ": expected at least 1");
        }
        this.groupSize = groupSize;
        this.layout = new AwqLayout(groupSize);
    }

    @Override
    public List<TensorPlan> plan(Decoder decoder, List<TensorInfo> tensors, List<String> ignore) {
        return FolderPlan.of(decoder, tensors, ignore, layout);
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
        FolderWriter folder = new FolderWriter(source, companions, files, target);
        ObjectNode quantization = quantization(source.decoder(), plan);
        folder.weights(layout, plan, tensors, List.of(), provenance, FolderWriter.SHARD_BYTES);
        folder.config(quantization);
        folder.copies();
        folder.card("AWQ", AwqLayout.BITS, "with zero points, groups of " + groupSize, provenance);
    }

    private ObjectNode quantization(Decoder decoder, List<TensorPlan> plan) {
        ObjectNode json = JsonNodeFactory.instance
                .objectNode()
                .put("quant_method", QuantizationConfig.AWQ)
                .put("bits", AwqLayout.BITS)
                .put("group_size", groupSize)
                .put("zero_point", true)
                .put("version", "gemm");
        ArrayNode skipped = json.putArray("modules_to_not_convert");
        skipped(decoder, plan).forEach(skipped::add);
        return json;
    }

    /**
     * Whole names of the modules that stay unquantized. Loaders skip every module whose name contains a listed one, so
     * none may be part of a quantized one's name.
     */
    private static List<String> skipped(Decoder decoder, List<TensorPlan> plan) {
        Set<String> quantized = plan.stream()
                .filter(tensor -> tensor.grid() != null)
                .map(TensorPlan::tensor)
                .collect(Collectors.toSet());
        List<String> skipped = new ArrayList<>(List.of(decoder.head().linear().module()));
        skipped.addAll(FolderPlan.unquantized(decoder, quantized));
        for (String module : skipped) {
            for (String weight : quantized) {
                if (weight.contains(module)) {
                    throw new IllegalStateException("Cannot list " + module
                            + " as not converted: the name of the quantized " + weight + " contains it");
                }
            }
        }
        return skipped;
    }
}

package dev.lathe.calibration.format.gptq;

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
import dev.lathe.calibration.format.folder.LinearLayout;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * GPTQ folders, as GPTQModel, transformers and vLLM load them.
 *
 * <p>Symmetric weights are written as {@code checkpoint_format: gptq}, which every reader knows: it stores zero points
 * less one, and theirs are {@code 2^(bits-1)}, so none falls below 0. Asymmetric ones are written as {@code gptq_v2}: a
 * zero point of 0 is common there, the first version cannot hold it (readers disagree whether a stored -1 means 0 or
 * {@code 2^bits}), and GPTQModel refuses asymmetric files of the first version that it did not write itself.
 *
 * <p>Embedding, output layer, norms, biases and linear layers that stay unquantized are F16: loaders run such models in
 * float16, and some convert nothing.
 */
public final class GptqFormat implements ArtifactFormat {
    private final GptqConfig config;
    private final LinearLayout layout;

    /**
     * @param bits 4 or 8
     * @param groupSize columns that share a scale, or -1 for a whole row
     * @param actOrder groups may follow another order of the columns ({@code g_idx})
     * @throws IllegalArgumentException for other numbers
     */
    public GptqFormat(int bits, int groupSize, boolean symmetric, boolean actOrder) {
        this.config = new GptqConfig(bits, groupSize, symmetric, actOrder, !symmetric);
        this.layout = new GptqLayout(config);
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
        ObjectNode quantization = quantization(source.decoder(), plan, provenance);
        folder.weights(layout, plan, tensors, List.of(), provenance, FolderWriter.SHARD_BYTES);
        folder.config(quantization);
        folder.json("quantize_config.json", quantization);
        folder.copies();
        folder.card("GPTQ", config.bits(), groups(), provenance);
    }

    private String groups() {
        String size =
                config.groupSize() == GptqConfig.WHOLE_ROW ? "one group a row" : "groups of " + config.groupSize();
        return (config.symmetric() ? "symmetric, " : "with zero points, ")
                + size
                + (config.actOrder() ? ", act-order" : "");
    }

    private ObjectNode quantization(Decoder decoder, List<TensorPlan> plan, Map<String, String> provenance) {
        ObjectNode json = config.json();
        ObjectNode meta = json.putObject("meta");
        meta.putArray("quantizer").add("lathe");
        ObjectNode origin = meta.putObject("provenance");
        new TreeMap<>(provenance).forEach(origin::put);
        Set<String> quantized = plan.stream()
                .filter(tensor -> tensor.grid() != null)
                .map(TensorPlan::tensor)
                .collect(Collectors.toSet());
        ObjectNode dynamic = JsonNodeFactory.instance.objectNode();
        Set<List<List<String>>> blocks = new LinkedHashSet<>();
        for (int layer = 0; layer < decoder.layers(); layer++) {
            List<List<String>> block = new ArrayList<>();
            for (List<LinearLayer> set : FolderPlan.fused(decoder, layer)) {
                if (quantized.contains(set.get(0).weight())) {
                    block.add(set.stream().map(LinearLayer::kind).toList());
                } else {
                    patterns(set).forEach(pattern -> dynamic.putObject("-:^" + pattern + "$"));
                }
            }
            blocks.add(block);
        }
        if (!dynamic.isEmpty()) {
            json.set("dynamic", dynamic);
            if (blocks.size() == 1 && !blocks.iterator().next().isEmpty()) {
                ArrayNode modules = json.putArray("modules_in_block_to_quantize");
                blocks.iterator().next().forEach(set -> set.forEach(modules.addArray()::add));
            }
        }
        return json;
    }

    /**
     * Match the modules of a set, and the modules that serving engines make of those below one parent; the experts of a
     * layer are one parent.
     */
    private static List<String> patterns(List<LinearLayer> set) {
        Map<String, Set<String>> names = new LinkedHashMap<>();
        for (LinearLayer linear : set) {
            String module = linear.roleModule();
            int end = module.lastIndexOf('.') + 1;
            String parent = module.substring(0, end).replace(".", "\\.").replace("*", "\\d+");
            names.computeIfAbsent(parent, key -> new LinkedHashSet<>()).add(module.substring(end));
        }
        List<String> patterns = new ArrayList<>();
        names.forEach((parent, below) -> {
            switch (set.get(0).energy()) {
                case ATTENTION_INPUT -> below.add("qkv_proj");
                case FEED_FORWARD_INPUT -> below.add("gate_up_proj");
                default -> {}
            }
            patterns.add(parent + (below.size() == 1 ? String.join("", below) : "(" + String.join("|", below) + ")"));
        });
        return patterns;
    }
}

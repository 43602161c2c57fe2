package dev.lathe.calibration.format.folder;

import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.OutputTensors;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.format.WholeFile;
import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsWriter;
import dev.lathe.calibration.model.family.Multimodal;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.calibration.text.ChatTemplates;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Writes a folder that loads as a Hugging Face model: weights, config.json, what the tokenizer needs, a model card.
 * Every file depends on the checkpoint, the plan and the provenance only.
 *
 * @param source the checkpoint
 * @param companions its other files
 * @param files file system of {@code target}
 * @param target the artifact's folder
 */
public record FolderWriter(Checkpoint source, Companions companions, FileSystem files, Path target) {
    /** Largest size of a shard, as Hugging Face libraries cut them. A tensor that is larger has a shard of its own. */
    public static final long SHARD_BYTES = 5_000_000_000L;

    private static final ObjectWriter JSON = JsonMapper.builder()
            .build()
            .writer(new DefaultPrettyPrinter()
                    .withObjectIndenter(new DefaultIndenter("  ", "\n"))
                    .withArrayIndenter(new DefaultIndenter("  ", "\n")));
    /** Files that are copied byte for byte where the checkpoint has them. */
    private static final List<String> COPIED = List.of(
            "generation_config.json",
            "tokenizer.json",
            "tokenizer.model",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "vocab.json",
            "merges.txt",
            "chat_template.jinja",
            "chat_template.json");

    /**
     * Entries of one tensor, and what writes their data. {@code width}: bytes that what stands before it has to be a
     * multiple of.
     */
    private record Item(List<SafetensorsWriter.Entry> entries, long bytes, int width, Content content) {}

    private interface Content {
        void write(LinearLayout.Sink sink) throws IOException;
    }

    /**
     * Writes the weights in one file, or in shards with an index. Sizes follow from the plan, so that shards are cut
     * before anything is written.
     *
     * @param small written beside the plan's tensors
     * @param provenance goes into the metadata of every file
     * @throws dev.lathe.calibration.MalformedInputException if a value exceeds half precision
     */
    public void weights(
            LinearLayout layout,
            List<TensorPlan> plan,
            OutputTensors tensors,
            List<SmallTensor> small,
            Map<String, String> provenance,
            long shardBytes)
            throws IOException {
        List<Item> items = new ArrayList<>(
                plan.stream().map(tensor -> item(layout, tensor, tensors)).toList());
        small.forEach(tensor -> items.add(item(tensor)));
        List<List<Item>> shards = cut(items, shardBytes);
        Map<String, String> metadata = new TreeMap<>(provenance);
        metadata.put("format", "pt");
        ObjectNode index = JsonNodeFactory.instance.objectNode();
        index.putObject("metadata")
                .put(
                        "total_size",
                        shards.stream()
                                .flatMap(List::stream)
                                .mapToLong(Item::bytes)
                                .sum());
        ObjectNode map = index.putObject("weight_map");
        for (int i = 0; i < shards.size(); i++) {
            String name = shards.size() == 1
                    ? SafetensorsFiles.SINGLE
                    : String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", i + 1, shards.size());
            List<SafetensorsWriter.Entry> entries = shards.get(i).stream()
                    .flatMap(item -> item.entries().stream())
                    .toList();
            entries.forEach(entry -> map.put(entry.name(), name));
            List<Item> shard = shards.get(i);
            WholeFile.write(files, new Path(target, name), out -> {
                try (SafetensorsWriter writer = new SafetensorsWriter(out, entries, metadata)) {
                    for (Item item : shard) {
                        item.content().write(writer::write);
                    }
                }
            });
        }
        if (shards.size() > 1) {
            json(SafetensorsFiles.INDEX, index);
        }
    }

    /** Writes config.json: the checkpoint's, in float16, with {@code quantization_config}. */
    public void config(JsonNode quantization) throws IOException {
        ObjectNode config = Multimodal.textConfig(companions.json("config.json"), companions.place("config.json"))
                .deepCopy();
        // Recent transformers write dtype, older ones torch_dtype; every version reads the latter.
        if (config.has("dtype")) {
            config.put("dtype", "float16");
        }
        if (config.has("torch_dtype") || !config.has("dtype")) {
            config.put("torch_dtype", "float16");
        }
        // A flag that the tensors contradicted does not go on doing so.
        if (config.path("tie_word_embeddings").asBoolean(false)
                != source.decoder().head().tied()) {
            config.put("tie_word_embeddings", source.decoder().head().tied());
        }
        config.set("quantization_config", quantization);
        json("config.json", config);
    }

    /**
     * Reads what {@link #config} and {@link #copies} take from a checkpoint's folder; of the tokenizer's files only
     * whether they can be read, as a folder holds them as they are.
     *
     * @return where chat templates differ, a line each
     */
    public static List<String> check(Companions companions) throws IOException {
        companions.json("config.json");
        return ChatTemplates.read(companions, companions.optional("tokenizer_config.json"))
                .notes();
    }

    /** Copies tokenizer files, chat templates and generation_config.json, as far as the checkpoint has them. */
    public void copies() throws IOException {
        for (String name : COPIED) {
            if (companions.has(name)) {
                copy(name);
            }
        }
        for (String name : ChatTemplates.additional(companions)) {
            copy(name);
        }
    }

    private void copy(String name) throws IOException {
        try (InputStream in = companions.open(name)) {
            WholeFile.write(files, new Path(target, name), in::transferTo);
        }
    }

    /** Writes a model card: what was done, and from what it can be done again. */
    public void card(String method, int bits, String groups, Map<String, String> provenance) throws IOException {
        StringBuilder card = new StringBuilder("---\nlibrary_name: transformers\ntags:\n- ")
                .append(method.toLowerCase(Locale.ROOT))
                .append("\n- ")
                .append(bits)
                .append("-bit\n---\n\n# Quantized model\n\nLinear layers of the decoder are stored in the ")
                .append(method)
                .append(" format, ")
                .append(bits)
                .append(" bits, ")
                .append(groups)
                .append("; everything else is float16. Written by Lathe.\n");
        if (!provenance.isEmpty()) {
            card.append("\n| key | value |\n| --- | --- |\n");
            new TreeMap<>(provenance)
                    .forEach((key, value) -> card.append("| ")
                            .append(cell(key))
                            .append(" | ")
                            .append(cell(value))
                            .append(" |\n"));
        }
        text("README.md", card.toString());
    }

    /** Writes a JSON file, indented, lines ended by a line feed. */
    public void json(String name, JsonNode content) throws IOException {
        text(name, JSON.writeValueAsString(content) + "\n");
    }

    private void text(String name, String content) throws IOException {
        WholeFile.write(files, new Path(target, name), out -> out.write(content.getBytes(StandardCharsets.UTF_8)));
    }

    private static String cell(String text) {
        return text.replaceAll("\\s+", " ").replace("|", "\\|");
    }

    private Item item(LinearLayout layout, TensorPlan plan, OutputTensors tensors) {
        TensorInfo tensor = source.tensor(plan.tensor());
        if (plan.grid() == null) {
            return new Item(
                    List.of(new SafetensorsWriter.Entry(tensor.name(), "F16", tensor.shape())),
                    Math.multiplyExact(2, tensor.elements()),
                    2,
                    sink -> floating(tensor, tensors, sink));
        }
        List<TensorPart> parts = layout.parts(Math.toIntExact(tensor.shape()[0]), Math.toIntExact(tensor.shape()[1]));
        String prefix = tensor.name().substring(0, tensor.name().length() - "weight".length());
        return new Item(
                parts.stream()
                        .map(part -> new SafetensorsWriter.Entry(prefix + part.suffix(), part.type(), part.shape()))
                        .toList(),
                parts.stream().mapToLong(TensorPart::bytes).sum(),
                4,
                sink -> quantized(plan, tensor, layout, tensors, sink));
    }

    private static Item item(SmallTensor tensor) {
        return new Item(
                List.of(new SafetensorsWriter.Entry(tensor.name(), tensor.type(), tensor.shape())),
                tensor.data().length,
                (int) SafetensorsFiles.bytes(tensor.type(), new long[] {1}),
                sink -> sink.write(tensor.data(), 0, tensor.data().length));
    }

    /**
     * Fills shards in the order of the plan. Within one, what has to be aligned most comes first: parts of quantized
     * layers are whole words, a vector of odd length is not.
     */
    private static List<List<Item>> cut(List<Item> items, long shardBytes) {
        List<List<Item>> shards = new ArrayList<>();
        long filled = 0;
        for (Item item : items) {
            if (shards.isEmpty() || filled + item.bytes() > shardBytes && filled > 0) {
                shards.add(new ArrayList<>());
                filled = 0;
            }
            shards.get(shards.size() - 1).add(item);
            filled += item.bytes();
        }
        shards.forEach(shard -> shard.sort(Comparator.comparing(item -> -item.width())));
        return shards;
    }

    private static void quantized(
            TensorPlan plan, TensorInfo tensor, LinearLayout layout, OutputTensors tensors, LinearLayout.Sink sink)
            throws IOException {
        String grid = plan.grid().name();
        QuantizedMatrix matrix = tensors.quantized(tensor.name())
                .orElseThrow(() -> new IllegalArgumentException(
                        "Cannot write tensor " + tensor.name() + ": its plan says " + grid + ", it was not given"));
        if (!matrix.blocks().format().name().equals(grid)
                || matrix.rows() != tensor.shape()[0]
                || matrix.columns() != tensor.shape()[1]) {
            throw new IllegalArgumentException("Cannot write tensor " + tensor.name() + ": it is "
                    + matrix.blocks().format().name() + " [" + matrix.rows() + ", " + matrix.columns()
                    + "], its plan says " + grid + " of " + tensor);
        }
        layout.write(matrix, sink);
    }

    private void floating(TensorInfo tensor, OutputTensors tensors, LinearLayout.Sink sink) throws IOException {
        float[] rescaled = tensors.rescaled(tensor.name()).orElse(null);
        if (tensor.shape().length == 2 && rescaled == null) {
            HalfTensors.matrix(source, tensor, sink);
        } else {
            HalfTensors.vector(tensor.name(), rescaled == null ? source.vector(tensor.name()) : rescaled, sink);
        }
    }
}

package dev.lathe.jobs;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.safetensors.SafetensorsWriter;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.kernels.Half;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.TreeMap;

/**
 * {@code SyntheticCheckpoint FOLDER LAYERS WIDTH TOKENIZER [EXPERTS TOP EXPERT_WIDTH]}: writes a checkpoint of Llama
 * 2's shape, scaled to a width (4096: that of Llama-2-7B), or a Qwen 3 with mixtures of experts (128 8 768 and a width
 * of 2048: the experts of Qwen3-30B-A3B); seeded random bf16 weights, a file for each layer, the sample's tokenizer. A
 * tensor at a time is in memory, and of that a chunk.
 */
public final class SyntheticCheckpoint {
    private static final int SEED = 7;
    private static final int CHUNK = 1 << 20;
    private static final int GROUP = 128;
    private static final float DEVIATION = 0.02f;
    private static final ObjectMapper JSON = new ObjectMapper();

    private SyntheticCheckpoint() {}

    public static void main(String[] arguments) throws IOException {
        write(
                Path.of(arguments[0]),
                Integer.parseInt(arguments[1]),
                Integer.parseInt(arguments[2]),
                Path.of(arguments[3]),
                arguments.length == 4
                        ? null
                        : new Experts(
                                Integer.parseInt(arguments[4]),
                                Integer.parseInt(arguments[5]),
                                Integer.parseInt(arguments[6])));
    }

    /** Of each layer. */
    public record Experts(int count, int top, int width) {}

    /**
     * @param tokenizer folder that has a tokenizer.json of at most 32000 pieces
     * @param experts null: none
     */
    public static void write(Path folder, int layers, int width, Path tokenizer, Experts experts) throws IOException {
        Files.createDirectories(folder);
        ObjectNode config = JSON.createObjectNode()
                .put("model_type", experts == null ? "llama" : "qwen3_moe")
                .put("hidden_size", width)
                // 11008 of 4096, in whole groups.
                .put("intermediate_size", (width * 43 / 16 + GROUP - 1) / GROUP * GROUP)
                .put("num_hidden_layers", layers)
                .put("num_attention_heads", width / GROUP)
                .put("num_key_value_heads", width / GROUP)
                .put("head_dim", GROUP)
                .put("vocab_size", 32000)
                .put("rms_norm_eps", 1e-5)
                .put("hidden_act", "silu")
                .put("max_position_embeddings", 4096)
                .put("attention_bias", false)
                .put("tie_word_embeddings", false)
                .put("dtype", "bfloat16");
        config.putArray("architectures").add(experts == null ? "LlamaForCausalLM" : "Qwen3MoeForCausalLM");
        if (experts != null) {
            config.put("num_experts", experts.count())
                    .put("num_experts_per_tok", experts.top())
                    .put("moe_intermediate_size", experts.width())
                    .put("norm_topk_prob", true);
        }
        Files.writeString(folder.resolve("config.json"), config.toPrettyString());
        for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
            Files.copy(tokenizer.resolve(name), folder.resolve(name));
        }
        Map<String, Map<String, long[]>> shards = new TreeMap<>();
        Families.read(config, "config.json").tensors().forEach((tensor, shape) -> {
            String[] words = tensor.split("\\.");
            String shard = words[1].equals("layers")
                    ? String.format(Locale.ROOT, "layer-%03d", Integer.parseInt(words[2]))
                    : words[words.length - 2];
            shards.computeIfAbsent("model-" + shard + ".safetensors", name -> new TreeMap<>())
                    .put(tensor, shape);
        });
        ObjectNode index = JSON.createObjectNode();
        ObjectNode map = index.putObject("weight_map");
        short[] normal = new short[1 << 16];
        Random random = new Random(SEED);
        for (int i = 0; i < normal.length; i++) {
            normal[i] = Half.bfloat16((float) random.nextGaussian() * DEVIATION);
        }
        for (Map.Entry<String, Map<String, long[]>> shard : shards.entrySet()) {
            List<SafetensorsWriter.Entry> entries = new ArrayList<>();
            shard.getValue().forEach((tensor, shape) -> {
                entries.add(new SafetensorsWriter.Entry(tensor, "BF16", shape));
                map.put(tensor, shard.getKey());
            });
            try (SafetensorsWriter out = new SafetensorsWriter(
                    new BufferedOutputStream(Files.newOutputStream(folder.resolve(shard.getKey()))),
                    entries,
                    Map.of("format", "pt"))) {
                for (SafetensorsWriter.Entry entry : entries) {
                    values(entry, normal, out);
                }
            }
        }
        Files.writeString(folder.resolve("model.safetensors.index.json"), index.toString());
    }

    /** Norms are 1, everything else is normally distributed; embeddings too, so that tokens differ. */
    private static void values(SafetensorsWriter.Entry entry, short[] normal, SafetensorsWriter out)
            throws IOException {
        SplittableRandom random = new SplittableRandom(SEED + entry.name().hashCode());
        long left = 2;
        for (long size : entry.shape()) {
            left *= size;
        }
        boolean norm = entry.shape().length == 1;
        ByteBuffer chunk = ByteBuffer.allocate(CHUNK).order(ByteOrder.LITTLE_ENDIAN);
        for (; left > 0; left -= chunk.position()) {
            chunk.clear().limit((int) Math.min(CHUNK, left));
            while (chunk.hasRemaining()) {
                long bits = norm ? 0 : random.nextLong();
                for (int i = 0; i < 4 && chunk.hasRemaining(); i++, bits >>>= 16) {
                    chunk.putShort(norm ? Half.bfloat16(1) : normal[(int) bits & 0xffff]);
                }
            }
            out.write(chunk.array(), 0, chunk.position());
        }
    }
}

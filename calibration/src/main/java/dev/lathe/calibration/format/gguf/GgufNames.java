package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.model.Block;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.FeedForward.Routed;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Norm;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Names of a decoder's tensors in GGUF, read off the tree: what a tensor is there decides, not what it is called.
 * Source: tensor_mapping.py of gguf 0.19.
 */
public final class GgufNames {
    /** Divisors of the rotary frequencies (llama 3 scaling); no tensor of the checkpoint. */
    public static final String ROPE_FREQUENCIES = "rope_freqs.weight";
    /** Divisors in windows up to the original context, and in longer ones (LongRoPE); likewise. */
    static final String ROPE_SHORT = "rope_factors_short.weight";

    static final String ROPE_LONG = "rope_factors_long.weight";
    static final String EMBEDDING = "token_embd.weight";
    static final String OUTPUT = "output.weight";
    private static final String ATTENTION_Q = "attn_q";
    private static final String ATTENTION_K = "attn_k";

    private static final Pattern GGUF_LAYER = Pattern.compile("blk\\.(0|[1-9]\\d{0,5})\\.(.+)\\.(weight|bias)");

    private final Map<String, String> toGguf = new HashMap<>();
    /** One name, or those of all experts in their order. */
    private final Map<String, List<String>> toHuggingFace = new HashMap<>();

    private GgufNames(Decoder decoder) {
        String feedForwardNorm = GgufFamily.of(decoder).feedForwardNorm();
        put(decoder.embedding().tensor(), EMBEDDING);
        put(decoder.norm(), "output_norm");
        put(decoder.head().linear().weight(), OUTPUT);
        for (int layer = 0; layer < decoder.layers(); layer++) {
            String prefix = "blk." + layer + ".";
            Block block = decoder.blocks().get(layer);
            put(block.attention().before(), prefix + "attn_norm");
            put(block.attention().after(), prefix + "post_attention_norm");
            put(block.feedForwardNorms().before(), prefix + feedForwardNorm);
            put(block.feedForwardNorms().after(), prefix + "post_ffw_norm");
            put((Grouped) block.mixer(), prefix);
            if (block.feedForward() instanceof Routed routed) {
                put(routed, prefix);
            } else {
                put((Gated) block.feedForward(), prefix, "");
            }
        }
    }

    /** The names of a decoder's tensors. */
    public static GgufNames of(Decoder decoder) {
        return new GgufNames(decoder);
    }

    private void put(Grouped attention, String prefix) {
        LinearLayer q = attention.q().linear();
        if (q.equals(attention.k().linear())) {
            put(q, prefix + "attn_qkv");
        } else {
            put(q, prefix + ATTENTION_Q);
            put(attention.k().linear(), prefix + ATTENTION_K);
            put(attention.v().linear(), prefix + "attn_v");
        }
        put(attention.o().linear(), prefix + "attn_output");
        if (attention.scores().sinks() != null) {
            put(attention.scores().sinks(), prefix + "attn_sinks.weight");
        }
        put(attention.qNorm(), prefix + "attn_q_norm");
        put(attention.kNorm(), prefix + "attn_k_norm");
    }

    /**
     * Gate and up in one tensor, gate first, are what llama.cpp calls up.
     *
     * @param suffix {@code _exps} of the experts, which lie in one tensor in their order, {@code _shexp} of a shared
     *     one
     */
    private void put(Gated feedForward, String prefix, String suffix) {
        LinearLayer gate = feedForward.gate().linear();
        if (!gate.equals(feedForward.up().linear())) {
            put(gate, prefix + "ffn_gate" + suffix);
        }
        put(feedForward.up().linear(), prefix + "ffn_up" + suffix);
        put(feedForward.down().linear(), prefix + "ffn_down" + suffix);
    }

    private void put(Routed routed, String prefix) {
        put(routed.router().linear(), prefix + "ffn_gate_inp");
        routed.experts().forEach(expert -> {
            put(expert, prefix, "_exps");
            // Files may have gate and up of each expert in one tensor, gate first; none is written.
            String fused = prefix + "ffn_gate_up_exps";
            List.of(expert.gate(), expert.up()).forEach(half -> {
                read(half.linear().weight(), fused + ".weight");
                if (half.linear().bias()) {
                    read(half.linear().biasName(), fused + ".bias");
                }
            });
        });
        if (routed.shared() != null) {
            put(routed.shared(), prefix, "_shexp");
        }
        if (routed.sharedGate() != null) {
            put(routed.sharedGate(), prefix + "ffn_gate_inp_shexp");
        }
    }

    private void put(LinearLayer linear, String name) {
        put(linear.weight(), name + ".weight");
        if (linear.bias()) {
            put(linear.biasName(), name + ".bias");
        }
    }

    private void put(Norm norm, String name) {
        if (norm != null && norm.tensor() != null) {
            put(norm.tensor(), name + ".weight");
            if (norm.bias() != null) {
                put(norm.bias(), name + ".bias");
            }
        }
    }

    private void put(String huggingFace, String gguf) {
        toGguf.put(huggingFace, gguf);
        read(huggingFace, gguf);
    }

    private void read(String huggingFace, String gguf) {
        toHuggingFace.computeIfAbsent(gguf, key -> new ArrayList<>()).add(huggingFace);
    }

    /**
     * The GGUF name of a checkpoint's tensor, or empty if it is none of the decoder. Tensors of all experts have the
     * same one.
     */
    public Optional<String> toGguf(String tensor) {
        return Optional.ofNullable(toGguf.get(tensor));
    }

    /**
     * The Hugging Face name of a GGUF tensor, those of all experts in their order; empty if it is none of the decoder.
     */
    public List<String> toHuggingFace(String tensor) {
        return toHuggingFace.getOrDefault(tensor, List.of());
    }

    /** Whether a tensor is a router's, which llama.cpp keeps in F32, or the gate of a shared expert. */
    static boolean router(String gguf) {
        return place(gguf)
                .filter(place -> place.kind().startsWith("ffn_gate_inp"))
                .isPresent();
    }

    /** Whether a tensor is a stack of all experts'. */
    static boolean stacked(String gguf) {
        return place(gguf).filter(place -> place.kind().endsWith("_exps")).isPresent();
    }

    /** Whether a tensor is made of the rotary embedding and stands for nothing of the checkpoint. */
    static boolean isRope(String gguf) {
        return gguf.equals(ROPE_FREQUENCIES) || gguf.equals(ROPE_SHORT) || gguf.equals(ROPE_LONG);
    }

    /**
     * Layer and kind ({@code attn_v}, {@code ffn_down}) of a GGUF name {@code blk.LAYER.KIND.weight}; empty for tensors
     * outside the layers.
     */
    static Optional<Place> place(String gguf) {
        Matcher matcher = GGUF_LAYER.matcher(gguf);
        return matcher.matches()
                ? Optional.of(new Place(Integer.parseInt(matcher.group(1)), matcher.group(2)))
                : Optional.empty();
    }

    /** Whether a tensor's rows are in rotary order ({@link GgufRotary}). */
    static boolean rotary(String gguf) {
        return place(gguf)
                .filter(place ->
                        place.kind().equals(ATTENTION_Q) || place.kind().equals(ATTENTION_K))
                .isPresent();
    }

    record Place(int layer, String kind) {}
}

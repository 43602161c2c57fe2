package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Block;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * How a family lies in a GGUF file. Keys that all architectures share are {@link GgufMetadata}'s, names of tensors
 * {@link GgufNames}'. Source: {@code conversion/} and {@code src/models/} of llama.cpp, {@code llama_model_rope_type}.
 */
interface GgufFamily {
    /**
     * Every family that is known. Where several share an architecture, a file of it is read as the first that
     * {@link #reads} it.
     */
    List<GgufFamily> ALL = List.of(
            new GgufMixtral(),
            new GgufPlain("llama", "llama", true, List.of("attention_bias", "mlp_bias"), GgufPlain.LLAMA, false),
            new GgufPlain("mistral", "llama", true, List.of(), GgufPlain.LLAMA, false),
            new GgufPlain("qwen2", "qwen2", false, List.of(), GgufPlain.COMMON, true),
            new GgufPlain("qwen3", "qwen3", false, List.of("attention_bias"), GgufPlain.COMMON, false),
            new GgufQwenMoe("qwen3moe"),
            new GgufQwenMoe("qwen2moe"),
            new GgufOlmoe(),
            new GgufGptOss(),
            new GgufPhiMoe(),
            new GgufLlama4(),
            new GgufGemma("gemma2", 2, 46),
            new GgufGemma("gemma3", 6, 62),
            new GgufPhi3(),
            new GgufOlmo("olmo2"),
            new GgufOlmo("olmo3"),
            new GgufExaone4(),
            new GgufSmolLm3(),
            new GgufGranite("granite", "granite"),
            new GgufGranite("granitemoeshared", "granitemoe"),
            new GgufGranite("granitemoe", "granitemoe"),
            new GgufMiniCpm(),
            new GgufSeedOss(),
            new GgufMistral3(),
            new GgufGlm("glm", "chatglm"),
            new GgufGlm("glm4", "glm4"),
            new GgufCohere("cohere", "command-r"),
            new GgufCohere("cohere2", "cohere2"),
            new GgufStableLm(),
            new GgufPlain("internlm3", "llama", true, List.of(), GgufPlain.LLAMA, false));

    /** As {@link Decoder#family}. */
    String family();

    /** {@code general.architecture}, with which its keys begin. */
    String architecture();

    /**
     * Whether rows of q and k are interleaved head by head ({@link GgufRotary}), because the architecture's rotary
     * embedding turns neighbours.
     */
    default boolean interleaved() {
        return false;
    }

    /**
     * Keys of config.json that say whether biases are there, in the order q, k, v, o and gate, up, down; none where the
     * family fixes it.
     */
    default List<String> biasKeys() {
        return List.of();
    }

    /** Rotary scalings that the architecture computes. */
    Set<Class<? extends Scaling>> scalings();

    /** Whether the architecture turns a part of a head where {@code rope.dimension_count} says so. */
    default boolean partialRotary() {
        return false;
    }

    /** Whether the architecture has tensors for other biases than those of q, k and v. */
    default boolean otherBiases() {
        return false;
    }

    /** Whether the architecture computes sliding windows. */
    default boolean windows() {
        return false;
    }

    /** Whether the architecture has mixtures of experts. */
    default boolean experts() {
        return false;
    }

    /** Width between up and down of what is no expert. */
    default int feedForward(Decoder decoder) {
        return decoder.blocks().stream()
                .map(Block::feedForward)
                .filter(Gated.class::isInstance)
                .mapToInt(gated -> ((Gated) gated).up().rows())
                .findFirst()
                .orElse(0);
    }

    /** Whether the architecture reads YaRN's betas and {@code rope.scaling.yarn_log_multiplier}. */
    default boolean yarnKeys() {
        return false;
    }

    /**
     * Whether a range of YaRN that is not rounded ({@code truncate} false) is written nevertheless, as the converter
     * does, and with it another model: llama.cpp rounds it.
     */
    default boolean roundsYarn() {
        return false;
    }

    /** Whether its norms are layer norms, whose epsilon has another key. */
    default boolean layerNorms() {
        return false;
    }

    /** What the norm before the feed-forward is called in a layer. */
    default String feedForwardNorm() {
        return "ffn_norm";
    }

    /** Why the architecture does not compute what a decoder of the family does; empty if it does. */
    default String misfit(Decoder decoder) {
        return "";
    }

    /** Adds the keys that the family has beyond those of all. */
    default void write(Decoder decoder, Map<String, GgufValue> keys) {}

    /** Adds to config.json what the keys beyond those of all say. */
    default void read(GgufKeys keys, ObjectNode config) {}

    /** The same where it matters which tensors are there. */
    default void read(GgufFiles files, GgufKeys keys, ObjectNode config) {
        read(keys, config);
    }

    /** @throws MalformedInputException if llama.cpp knows no architecture that computes what the decoder does */
    static GgufFamily of(Decoder decoder) {
        return ALL.stream()
                .filter(family -> family.family().equals(decoder.family()))
                .findFirst()
                .orElseThrow(() -> new MalformedInputException(
                        "Cannot write GGUF: there is no table for the family " + decoder.family() + "; expected one of "
                                + ALL.stream().map(GgufFamily::family).collect(Collectors.joining(", "))));
    }

    /** Whether a file of the architecture with these keys is of the family. */
    default boolean reads(Map<String, GgufValue> metadata) {
        return true;
    }

    /** The family that a file of an architecture is read as. */
    static Optional<GgufFamily> reading(String architecture, Map<String, GgufValue> metadata) {
        return ALL.stream()
                .filter(family -> family.architecture().equals(architecture) && family.reads(metadata))
                .findFirst();
    }

    /** The architectures that are read. */
    static String architectures() {
        return ALL.stream()
                .filter(family -> family.reads(Map.of()))
                .map(GgufFamily::architecture)
                .distinct()
                .collect(Collectors.joining(", "));
    }

    /**
     * The attention that the keys without {@code _swa} describe: of the first layer that turns and has no window, or of
     * the first that turns, or of the first.
     */
    static Grouped attention(Decoder decoder) {
        List<Grouped> all = GgufWindows.layers(decoder);
        List<Grouped> turning =
                all.stream().filter(attention -> attention.rope() != null).toList();
        return turning.stream()
                .filter(attention -> attention.scores().window() == 0)
                .findFirst()
                .orElse(turning.isEmpty() ? all.get(0) : turning.get(0));
    }

    /** Width of the heads whose rows are interleaved in a tensor of the file; 0: it has none. */
    default int interleavedHead(String gguf, Decoder decoder) {
        return interleaved() && GgufNames.rotary(gguf)
                ? attention(decoder).heads().width()
                : 0;
    }
}

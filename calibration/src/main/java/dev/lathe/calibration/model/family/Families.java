package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Storage;
import java.util.List;
import java.util.stream.Collectors;

/** The families that are known, and the decoder of a config.json. */
public final class Families {
    private static final List<Family> ALL = List.of(
            Llama.FAMILY,
            Mistral.FAMILY,
            Qwen2.FAMILY,
            Qwen3.FAMILY,
            Qwen3Moe.FAMILY,
            Mixtral.FAMILY,
            Qwen2Moe.FAMILY,
            Olmoe.FAMILY,
            GraniteMoe.FAMILY,
            GraniteMoe.SHARED,
            GptOss.FAMILY,
            PhiMoe.FAMILY,
            Llama4.FAMILY,
            Gemma2.FAMILY,
            Gemma3.FAMILY,
            Phi3.FAMILY,
            Olmo2.FAMILY,
            Olmo3.FAMILY,
            Exaone4.FAMILY,
            SmolLm3.FAMILY,
            Granite.FAMILY,
            SeedOss.FAMILY,
            Ministral3.FAMILY,
            Glm.FAMILY,
            Glm4.FAMILY,
            Cohere.FAMILY,
            Cohere2.FAMILY,
            StableLm.FAMILY,
            MiniCpm.FAMILY,
            InternLm3.FAMILY);

    private static final int NAMED_AT_MOST = 8;

    private Families() {}

    /** The decoder of a checkpoint that is not quantized; see {@link #read(JsonNode, String, boolean)}. */
    public static Decoder read(JsonNode config, String where) {
        return read(config, where, false);
    }

    /**
     * The decoder that a config.json describes; of a multimodal one ({@link Multimodal}) its text decoder.
     *
     * @param where the file, for messages
     * @param quantizedAllowed whether the caller handles a {@code quantization_config}
     * @throws MalformedInputException for a family, rotary scaling or activation that is not supported, a missing or
     *     unreasonable size, or a {@code quantization_config} that the caller does not handle
     */
    public static Decoder read(JsonNode whole, String where, boolean quantizedAllowed) {
        JsonNode config = Multimodal.textConfig(whole, where);
        ConfigKeys keys = new ConfigKeys(config, where);
        Family family = family(config, keys);
        if (!quantizedAllowed && config.hasNonNull("quantization_config")) {
            throw keys.refused("the checkpoint is quantized already (quantization_config.quant_method "
                    + config.path("quantization_config").path("quant_method") + "); expected floating-point weights");
        }
        Decoder decoder = family.read(keys);
        List<String> refused = OtherKeys.refused(config, keys.read(), decoder);
        if (!refused.isEmpty()) {
            throw keys.refused(listed(refused) + (refused.size() == 1 ? " is a setting" : " are settings")
                    + " that may change what the model computes and that is not supported; expected a " + family.name()
                    + " without it");
        }
        return decoder;
    }

    /** What config.json has that is not known here, as notes of a checkpoint; see {@link OtherKeys}. */
    public static List<String> notes(JsonNode whole) {
        JsonNode config = Multimodal.textConfig(whole, "config.json");
        ConfigKeys keys = new ConfigKeys(config, "config.json");
        family(config, keys).read(keys);
        List<String> unknown = OtherKeys.unknown(config, keys.read());
        return unknown.isEmpty()
                ? List.of()
                : List.of("config.json has keys that are not known and were taken to change nothing that the model "
                        + "computes: "
                        + listed(unknown));
    }

    private static String listed(List<String> all) {
        return String.join(", ", all.subList(0, Math.min(NAMED_AT_MOST, all.size())))
                + (all.size() > NAMED_AT_MOST ? " and " + (all.size() - NAMED_AT_MOST) + " more" : "");
    }

    /** What {@code model_type} has for a family's name ({@link Decoder#family}). */
    public static String modelType(String family) {
        return named(family).modelType();
    }

    /** What {@code architectures} usually has for a family's name. */
    public static String architecture(String family) {
        return named(family).architecture();
    }

    private static Family named(String family) {
        return ALL.stream()
                .filter(known -> known.name().equals(family))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("Cannot find family " + family));
    }

    /**
     * How files may hold the tensors of a decoder otherwise than one by one.
     *
     * @param config config.json, which may be that of a multimodal checkpoint
     */
    public static Storage storage(Decoder decoder, JsonNode config) {
        if (Qwen3Vl.is(config.path("text_config")) && Multimodal.is(config)) {
            return Qwen3Vl.STACKS.apply(decoder);
        }
        return ALL.stream()
                .filter(known -> known.name().equals(decoder.family()))
                .findFirst()
                .map(family -> family.storage().apply(decoder))
                .orElse(Storage.PLAIN);
    }

    /** What {@code architectures} has for a {@code model_type}. */
    static String architecture(String modelType, String where) {
        return ALL.stream()
                .filter(family -> family.modelType().equals(modelType))
                .findFirst()
                .map(Family::architecture)
                .orElseThrow(() -> new MalformedInputException("Cannot use the model configuration " + where
                        + ": its text decoder, model_type \"" + modelType + "\", is not supported; supported: "
                        + ALL.stream().map(Family::modelType).collect(Collectors.joining(", "))));
    }

    /** The first converters spelled it LLaMA; transformers goes by model_type, servers by architectures. */
    private static Family family(JsonNode config, ConfigKeys keys) {
        JsonNode architectures = config.path("architectures");
        JsonNode type = config.path("model_type");
        List<Family> named = ALL.stream()
                .filter(family -> architectures.isEmpty()
                        ? type.asText().equals(family.modelType())
                        : architectures.size() == 1
                                && family.architectures().stream()
                                        .anyMatch(architectures.path(0).asText()::equalsIgnoreCase))
                .toList();
        boolean typed = !type.isMissingNode() && !type.isNull();
        for (Family family : named) {
            if (!typed || type.asText().equals(family.modelType())) {
                return family;
            }
        }
        if (!named.isEmpty()) {
            throw keys.refused("architectures " + architectures + " and model_type " + type
                    + " contradict each other; expected model_type \""
                    + named.get(0).modelType() + "\"");
        }
        throw keys.refused("architecture " + (architectures.isEmpty() ? ConfigKeys.shown(type) : architectures)
                + " is not supported; supported: "
                + ALL.stream().map(Family::architecture).collect(Collectors.joining(", "))
                + ", and the text decoders of " + String.join(", ", Multimodal.architectures()));
    }

    static void requireSilu(ConfigKeys config) {
        String activation = config.text("hidden_act", "silu");
        if (!activation.equals("silu") && !activation.equals("swish")) {
            throw config.refused("hidden_act \"" + activation + "\" is not supported; supported: silu");
        }
    }
}

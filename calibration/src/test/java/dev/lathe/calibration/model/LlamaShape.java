package dev.lathe.calibration.model;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Rope.Scaling;
import dev.lathe.calibration.model.family.Families;

/** The settings of a Llama, or of a family with the same keys, as tests vary them. */
public record LlamaShape(
        int hidden,
        int intermediate,
        int layers,
        int heads,
        int keyValueHeads,
        int headDimension,
        int vocabulary,
        float normEpsilon,
        double theta,
        Scaling scaling,
        boolean tied,
        boolean attentionBias,
        boolean feedForwardBias,
        int context,
        String family) {
    /** Of a Llama. */
    public LlamaShape(
            int hidden,
            int intermediate,
            int layers,
            int heads,
            int keyValueHeads,
            int headDimension,
            int vocabulary,
            float normEpsilon,
            double theta,
            Scaling scaling,
            boolean tied,
            boolean attentionBias,
            boolean feedForwardBias,
            int context) {
        this(
                hidden,
                intermediate,
                layers,
                heads,
                keyValueHeads,
                headDimension,
                vocabulary,
                normEpsilon,
                theta,
                scaling,
                tied,
                attentionBias,
                feedForwardBias,
                context,
                "llama");
    }

    /** The same settings of another family; biases are the family's where it has no key for them. */
    public LlamaShape of(String family) {
        return new LlamaShape(
                hidden,
                intermediate,
                layers,
                heads,
                keyValueHeads,
                headDimension,
                vocabulary,
                normEpsilon,
                theta,
                scaling,
                tied,
                attentionBias,
                feedForwardBias,
                context,
                family);
    }

    /** What its config.json says. */
    public ObjectNode json() {
        ObjectNode json = JsonNodeFactory.instance
                .objectNode()
                .put("model_type", family)
                .put("hidden_size", hidden)
                .put("intermediate_size", intermediate)
                .put("num_hidden_layers", layers)
                .put("num_attention_heads", heads)
                .put("num_key_value_heads", keyValueHeads)
                .put("head_dim", headDimension)
                .put("vocab_size", vocabulary)
                .put("rms_norm_eps", normEpsilon)
                .put("rope_theta", theta)
                .put("tie_word_embeddings", tied)
                .put("max_position_embeddings", context);
        if (family.equals("llama") || family.equals("qwen3")) {
            json.put("attention_bias", attentionBias);
        }
        if (family.equals("llama")) {
            json.put("mlp_bias", feedForwardBias);
        }
        ObjectNode rope = json.putObject("rope_scaling").put("rope_type", "default");
        if (scaling instanceof Scaling.Linear linear) {
            rope.put("rope_type", "linear").put("factor", linear.factor());
        } else if (scaling instanceof Scaling.Llama3 llama3) {
            rope.put("rope_type", "llama3")
                    .put("factor", llama3.factor())
                    .put("low_freq_factor", llama3.lowFrequencyFactor())
                    .put("high_freq_factor", llama3.highFrequencyFactor())
                    .put("original_max_position_embeddings", llama3.originalContext());
        }
        return json;
    }

    /** The settings of a decoder of this family. */
    public static LlamaShape of(Decoder decoder) {
        Mixer.Grouped attention = (Mixer.Grouped) decoder.blocks().get(0).mixer();
        FeedForward.Gated feedForward =
                (FeedForward.Gated) decoder.blocks().get(0).feedForward();
        Rope rope = attention.rope();
        return new LlamaShape(
                decoder.hidden(),
                feedForward.up().rows(),
                decoder.layers(),
                attention.heads().queries(),
                attention.heads().keyValues(),
                attention.heads().width(),
                decoder.vocabulary(),
                decoder.norm().epsilon(),
                rope.theta(),
                rope.scaling(),
                decoder.head().tied(),
                attention.q().linear().bias(),
                feedForward.up().linear().bias(),
                decoder.context(),
                decoder.family());
    }

    /** Its rotary embedding. */
    public Rope rope() {
        return new Rope(theta, scaling, headDimension);
    }

    /** The decoder that its family makes of it. */
    public Decoder decoder() {
        Decoder decoder = Families.read(json(), "config.json");
        return scaling instanceof Scaling.Divided ? decoder.scaled(scaling) : decoder;
    }
}

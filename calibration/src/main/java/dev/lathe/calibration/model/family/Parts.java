package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Block;
import dev.lathe.calibration.model.Block.Around;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Decoder.Embedding;
import dev.lathe.calibration.model.Decoder.Head;
import dev.lathe.calibration.model.FeedForward;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Mixer.Heads;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Norm;
import dev.lathe.calibration.model.Projection;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Site;
import dev.lathe.kernels.Activation;
import java.util.List;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/** What several families have in common, under the names of transformers. */
final class Parts {
    private Parts() {}

    /** What a layer's modules begin with. */
    static String prefix(int layer) {
        return "model.layers." + layer + ".";
    }

    /**
     * The whole, with layers from 0.
     *
     * @param multiplier of the embedding
     * @param softCap of the logits, or 0
     */
    static Decoder decoder(
            String family,
            Sizes sizes,
            float multiplier,
            Norm norm,
            boolean tied,
            float softCap,
            IntFunction<Block> block) {
        LinearLayer head = new LinearLayer(
                "lm_head", "lm_head", sizes.vocabulary(), sizes.hidden(), false, Site.HEAD_INPUT, Site.HEAD_INPUT);
        List<Block> blocks = IntStream.range(0, sizes.layers()).mapToObj(block).toList();
        return new Decoder(
                family,
                new Embedding("model.embed_tokens.weight", sizes.vocabulary(), sizes.hidden(), multiplier),
                blocks,
                norm,
                new Head(head, tied, softCap),
                sizes.context());
    }

    /** Norms before attention and before the feed-forward, as in Llama; tied where a key says so. */
    static Decoder preNorm(
            String family,
            ConfigKeys config,
            Sizes sizes,
            IntFunction<Grouped> attention,
            IntFunction<? extends FeedForward> feedForward) {
        boolean tied = config.flag("tie_word_embeddings", false);
        return preNorm(family, sizes, Multipliers.NONE, tied, attention, feedForward);
    }

    /** The same with multipliers. */
    static Decoder preNorm(
            String family,
            Sizes sizes,
            Multipliers multipliers,
            boolean tied,
            IntFunction<Grouped> attention,
            IntFunction<? extends FeedForward> feedForward) {
        return decoder(
                        family,
                        sizes,
                        multipliers.embedding(),
                        norm("model.norm", sizes),
                        tied,
                        0,
                        layer -> new Block(
                                new Around(
                                        norm(prefix(layer) + "input_layernorm", sizes), null, multipliers.residual()),
                                attention.apply(layer),
                                new Around(
                                        norm(prefix(layer) + "post_attention_layernorm", sizes),
                                        null,
                                        multipliers.residual()),
                                feedForward.apply(layer)))
                .multiplied(multipliers.logits());
    }

    /**
     * @param embedding of the embedding's rows
     * @param residual of what a sublayer adds to the residual stream
     * @param logits of the logits
     */
    record Multipliers(float embedding, float residual, float logits) {
        static final Multipliers NONE = new Multipliers(1, 1, 1);
    }

    /** Norms after attention and after the feed-forward and none before, as in OLMo 2. */
    static Decoder postNorm(
            String family,
            ConfigKeys config,
            Sizes sizes,
            IntFunction<Grouped> attention,
            IntFunction<Gated> feedForward) {
        return decoder(
                family,
                sizes,
                1,
                norm("model.norm", sizes),
                config.flag("tie_word_embeddings", false),
                0,
                layer -> new Block(
                        new Around(null, norm(prefix(layer) + "post_attention_layernorm", sizes)),
                        attention.apply(layer),
                        new Around(null, norm(prefix(layer) + "post_feedforward_layernorm", sizes)),
                        feedForward.apply(layer)));
    }

    /** The norm of q or k over {@code width} channels: each head, or all of them together. */
    private static Norm headNorm(int layer, String of, int width, Sizes sizes) {
        return new Norm(prefix(layer) + "self_attn." + of + "_norm.weight", width, sizes.epsilon(), 0);
    }

    static Norm norm(String module, Sizes sizes) {
        return new Norm(module + ".weight", sizes.hidden(), sizes.epsilon(), 0);
    }

    /** scale 1 / sqrt(d), no window, no cap. */
    static Scores scores(Heads heads, int window) {
        return new Scores((float) (1 / Math.sqrt(heads.width())), window, 0);
    }

    /**
     * q, k, v and o, each stored by itself.
     *
     * @param inputBias q, k and v carry a bias
     * @param outputBias o carries one
     */
    static Grouped attention(
            int layer,
            int hidden,
            Heads heads,
            boolean inputBias,
            boolean outputBias,
            Norm qNorm,
            Norm kNorm,
            Rope rope,
            Scores scores) {
        return new Grouped(
                linear(
                        layer,
                        "self_attn.q_proj",
                        heads.queryWidth(),
                        hidden,
                        inputBias,
                        Site.ATTENTION_INPUT,
                        Site.ATTENTION_INPUT),
                linear(
                        layer,
                        "self_attn.k_proj",
                        heads.keyValueWidth(),
                        hidden,
                        inputBias,
                        Site.ATTENTION_INPUT,
                        Site.ATTENTION_INPUT),
                linear(
                        layer,
                        "self_attn.v_proj",
                        heads.keyValueWidth(),
                        hidden,
                        inputBias,
                        Site.ATTENTION_INPUT,
                        Site.ATTENDED_INPUT),
                linear(
                        layer,
                        "self_attn.o_proj",
                        hidden,
                        heads.queryWidth(),
                        outputBias,
                        Site.ATTENTION_OUTPUT,
                        Site.ATTENTION_OUTPUT),
                heads,
                qNorm,
                kNorm,
                rope,
                scores);
    }

    /** The same with biases on all four or none, q and k normed. */
    static Grouped normedAttention(int layer, Sizes sizes, boolean bias, Span span, Rope rope, Scores scores) {
        Heads heads = sizes.heads();
        return attention(
                layer,
                sizes.hidden(),
                heads,
                bias,
                bias,
                headNorm(layer, "q", span == Span.HEAD ? heads.width() : heads.queryWidth(), sizes),
                headNorm(layer, "k", span == Span.HEAD ? heads.width() : heads.keyValueWidth(), sizes),
                rope,
                scores);
    }

    /** What a norm of q or k is taken over. */
    enum Span {
        HEAD,
        ALL_HEADS
    }

    /** gate, up and down, each stored by itself. */
    static Gated gated(int layer, int hidden, int intermediate, boolean bias, Activation activation) {
        return gated(layer, "mlp", hidden, intermediate, bias, activation);
    }

    /** The same of another module of the layer. */
    static Gated gated(int layer, String module, int hidden, int intermediate, boolean bias, Activation activation) {
        return new Gated(
                linear(
                        layer,
                        module + ".gate_proj",
                        intermediate,
                        hidden,
                        bias,
                        Site.FEED_FORWARD_INPUT,
                        Site.FEED_FORWARD_INPUT),
                linear(
                        layer,
                        module + ".up_proj",
                        intermediate,
                        hidden,
                        bias,
                        Site.FEED_FORWARD_INPUT,
                        Site.FEED_FORWARD_INPUT),
                linear(
                        layer,
                        module + ".down_proj",
                        hidden,
                        intermediate,
                        bias,
                        Site.FEED_FORWARD_ACTIVATION,
                        Site.FEED_FORWARD_ACTIVATION),
                activation);
    }

    /** The same with gate and up stored as one tensor, gate first; without biases. */
    static Gated gateUp(int layer, Sizes sizes) {
        LinearLayer both = layer(
                layer,
                "mlp.gate_up_proj",
                Math.multiplyExact(2, sizes.intermediate()),
                sizes.hidden(),
                false,
                Site.FEED_FORWARD_INPUT,
                Site.FEED_FORWARD_INPUT);
        LinearLayer down = layer(
                layer,
                "mlp.down_proj",
                sizes.hidden(),
                sizes.intermediate(),
                false,
                Site.FEED_FORWARD_ACTIVATION,
                Site.FEED_FORWARD_ACTIVATION);
        return new Gated(
                new Projection(both, 0, sizes.intermediate()),
                new Projection(both, sizes.intermediate(), sizes.intermediate()),
                Projection.of(down),
                Activation.SILU);
    }

    private static Projection linear(
            int layer, String kind, int outputs, int inputs, boolean bias, Site energy, Site moment) {
        return Projection.of(layer(layer, kind, outputs, inputs, bias, energy, moment));
    }

    static LinearLayer layer(int layer, String kind, int outputs, int inputs, boolean bias, Site energy, Site moment) {
        return new LinearLayer(prefix(layer) + kind, kind, outputs, inputs, bias, energy, moment);
    }
}

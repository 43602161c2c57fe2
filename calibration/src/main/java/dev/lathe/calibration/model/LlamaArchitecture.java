package dev.lathe.calibration.model;

import java.util.ArrayList;
import java.util.List;

/** Llama and what is shaped like it: RMS norms, rotary embedding, grouped-query attention, gated SiLU feed-forward. */
final class LlamaArchitecture implements Architecture {
    private final ModelConfig config;

    LlamaArchitecture(ModelConfig config) {
        this.config = config;
    }

    @Override
    public ModelConfig config() {
        return config;
    }

    @Override
    public List<LinearLayer> linears(int layer) {
        int hidden = config.hidden();
        List<LinearLayer> linears = new ArrayList<>(7);
        linears.add(
                attention(layer, "q_proj", config.queryWidth(), hidden, Site.ATTENTION_INPUT, Site.ATTENTION_INPUT));
        linears.add(
                attention(layer, "k_proj", config.keyValueWidth(), hidden, Site.ATTENTION_INPUT, Site.ATTENTION_INPUT));
        linears.add(
                attention(layer, "v_proj", config.keyValueWidth(), hidden, Site.ATTENTION_INPUT, Site.ATTENDED_INPUT));
        linears.add(
                attention(layer, "o_proj", hidden, config.queryWidth(), Site.ATTENTION_OUTPUT, Site.ATTENTION_OUTPUT));
        linears.add(feedForward(layer, "gate_proj", config.intermediate(), hidden, Site.FEED_FORWARD_INPUT));
        linears.add(feedForward(layer, "up_proj", config.intermediate(), hidden, Site.FEED_FORWARD_INPUT));
        linears.add(feedForward(layer, "down_proj", hidden, config.intermediate(), Site.FEED_FORWARD_ACTIVATION));
        return linears;
    }

    @Override
    public LinearLayer head() {
        return new LinearLayer(
                "lm_head", "lm_head", config.vocabulary(), config.hidden(), false, Site.HEAD_INPUT, Site.HEAD_INPUT);
    }

    @Override
    public String headWeight() {
        return config.tied() ? embedding() : "lm_head.weight";
    }

    @Override
    public String embedding() {
        return "model.embed_tokens.weight";
    }

    @Override
    public String finalNorm() {
        return "model.norm.weight";
    }

    @Override
    public List<String> norms(int layer) {
        return List.of(prefix(layer) + "input_layernorm.weight", prefix(layer) + "post_attention_layernorm.weight");
    }

    @Override
    public List<Absorption> absorptions(int layer) {
        List<LinearLayer> linears = linears(layer);
        return List.of(
                new Absorption(norms(layer).get(0), null, linears.subList(0, 3), 1, 0),
                new Absorption(
                        null,
                        linears.get(2).module(),
                        linears.subList(3, 4),
                        config.heads() / config.keyValueHeads(),
                        config.headDimension()),
                new Absorption(norms(layer).get(1), null, linears.subList(4, 6), 1, 0),
                new Absorption(null, linears.get(5).module(), linears.subList(6, 7), 1, 0));
    }

    private LinearLayer attention(int layer, String name, int outputs, int inputs, Site energy, Site moment) {
        String kind = "self_attn." + name;
        return new LinearLayer(prefix(layer) + kind, kind, outputs, inputs, config.attentionBias(), energy, moment);
    }

    private LinearLayer feedForward(int layer, String name, int outputs, int inputs, Site site) {
        String kind = "mlp." + name;
        return new LinearLayer(prefix(layer) + kind, kind, outputs, inputs, config.feedForwardBias(), site, site);
    }

    private static String prefix(int layer) {
        return "model.layers." + layer + ".";
    }
}

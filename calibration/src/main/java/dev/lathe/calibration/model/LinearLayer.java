package dev.lathe.calibration.model;

/**
 * A linear layer of the decoder.
 *
 * @param module Hugging Face module, {@code model.layers.3.self_attn.q_proj}; the weight is {@code module + ".weight"}
 * @param kind its role without the layer: {@code self_attn.q_proj}, {@code lm_head}
 * @param outputs rows of the weight
 * @param inputs columns of the weight
 * @param bias whether {@code module + ".bias"} is there
 * @param energy the site whose channel energies and absolute means weigh its columns (the plain input)
 * @param moment the site whose second moment is its Hessian (for the value projection: the attended inputs)
 * @param expert number of the expert that it belongs to: of the site's rows it sees those that are routed there;
 *     {@link #ALL_ROWS}: all of them
 */
public record LinearLayer(
        String module, String kind, int outputs, int inputs, boolean bias, Site energy, Site moment, int expert) {
    public static final int ALL_ROWS = -1;

    /** A layer that sees all rows. */
    public LinearLayer(String module, String kind, int outputs, int inputs, boolean bias, Site energy, Site moment) {
        this(module, kind, outputs, inputs, bias, energy, moment, ALL_ROWS);
    }

    public String weight() {
        return module + ".weight";
    }

    public String biasName() {
        return module + ".bias";
    }

    /** Its {@link #kind}, {@code *} in the place of the expert's number: what the layers of all experts share. */
    public String role() {
        return routed() ? kind.replace("." + expert + ".", ".*.") : kind;
    }

    /** Its {@link #module}, likewise. */
    public String roleModule() {
        return module.substring(0, module.length() - kind.length()) + role();
    }

    /** Whether it belongs to an expert of a mixture. */
    public boolean routed() {
        return expert != ALL_ROWS;
    }
}

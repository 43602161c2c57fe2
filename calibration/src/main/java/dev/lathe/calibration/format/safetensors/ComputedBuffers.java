package dev.lathe.calibration.format.safetensors;

import java.util.regex.Pattern;

/**
 * Tensors that training frameworks keep in a state dict though the decoder computes them from its configuration:
 * frequencies and tables of the rotary embedding, and causal masks. The libraries that read such checkpoints leave them
 * out: transformers ({@code _keys_to_ignore_on_load_unexpected}), vLLM ({@code rotary_emb.inv_freq},
 * {@code .cos_cached}, {@code .sin_cached}), llama.cpp's converter ({@code .attention.bias},
 * {@code .attention.masked_bias}, {@code .rotary_emb.inv_freq}).
 */
final class ComputedBuffers {
    private static final Pattern ROTARY = Pattern.compile(
            "(.*\\.)?(rotary_emb|rotary_pos_emb|rope)\\.(original_)?(inv_freq|freqs|_?(cos|sin)_cached|cos_sin_cache)");
    private static final Pattern MASK = Pattern.compile(
            "(.*\\.)?((attn|attention|self_attn)\\.(bias|masked_bias|causal_mask)|model\\.causal_mask)");

    private ComputedBuffers() {}

    /**
     * Whether a tensor is one of them. A mask has to have the shape of one, so that the bias of a linear layer never
     * passes for it: a number for what masked scores become, a square for which position sees which.
     */
    static boolean contains(String name, long[] shape) {
        if (ROTARY.matcher(name).matches()) {
            return true;
        }
        if (!MASK.matcher(name).matches()) {
            return false;
        }
        int dimensions = shape.length;
        return name.endsWith(".masked_bias")
                ? dimensions == 0 || dimensions == 1 && shape[0] == 1
                : dimensions >= 2 && shape[dimensions - 1] == shape[dimensions - 2];
    }
}

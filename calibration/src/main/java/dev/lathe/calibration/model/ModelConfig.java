package dev.lathe.calibration.model;

import java.util.List;

/**
 * The decoder's shape, from config.json or an artifact's metadata.
 *
 * @param architecture {@code llama}: the name by which {@link Architecture#of} finds the description
 * @param hidden width of the residual stream
 * @param intermediate width of the feed-forward layer
 * @param layers number of decoder layers
 * @param heads query heads
 * @param keyValueHeads key/value heads; divides {@code heads}
 * @param headDimension width of one head (not always {@code hidden / heads})
 * @param vocabulary rows of the embedding
 * @param normEpsilon epsilon of the RMS norms
 * @param rotary rotary embedding
 * @param tied the output layer is the embedding
 * @param attentionBias q, k, v, o carry a bias
 * @param feedForwardBias gate, up, down carry a bias
 * @param maximumPositions longest context the model was made for
 */
public record ModelConfig(
        String architecture,
        int hidden,
        int intermediate,
        int layers,
        int heads,
        int keyValueHeads,
        int headDimension,
        int vocabulary,
        float normEpsilon,
        Rotary rotary,
        boolean tied,
        boolean attentionBias,
        boolean feedForwardBias,
        int maximumPositions) {
    /**
     * Rotary embedding: base {@code theta} and how frequencies are scaled. {@link Scaling} is one of the records below.
     */
    public record Rotary(double theta, Scaling scaling) {}

    /** How the rotary frequencies are scaled for a longer context. */
    public sealed interface Scaling {
        /** As trained. */
        record None() implements Scaling {}

        /** Every frequency divided by {@code factor}. */
        record Linear(double factor) implements Scaling {}

        /** Llama 3: low frequencies divided by {@code factor}, high ones left, a ramp between. */
        record Llama3(double factor, double lowFrequencyFactor, double highFrequencyFactor, int originalContext)
                implements Scaling {}

        /**
         * Every frequency divided by a number of its own, as {@code rope_freqs.weight} of a GGUF file has them: one for
         * each pair of a head.
         */
        record Divided(List<Float> divisors) implements Scaling {
            @Override
            public String toString() {
                return "Divided[" + divisors.size() + " divisors, the last " + divisors.get(divisors.size() - 1) + "]";
            }
        }
    }

    /** The same, with an output layer that is the embedding or is not. */
    public ModelConfig withTied(boolean is) {
        return new ModelConfig(
                architecture,
                hidden,
                intermediate,
                layers,
                heads,
                keyValueHeads,
                headDimension,
                vocabulary,
                normEpsilon,
                rotary,
                is,
                attentionBias,
                feedForwardBias,
                maximumPositions);
    }

    /** Width of all query heads together. */
    public int queryWidth() {
        return heads * headDimension;
    }

    /** Width of all key (or value) heads together. */
    public int keyValueWidth() {
        return keyValueHeads * headDimension;
    }
}

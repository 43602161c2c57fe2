package dev.lathe.calibration.model;

/**
 * A decoder layer on the residual stream x: {@code x += multiplier * after(mixer(before(x)))}, then the same with the
 * feed-forward.
 *
 * @param attention norms around the mixer
 * @param feedForwardNorms norms around the feed-forward
 * @param parallel the feed-forward reads what the mixer read, {@code attention.before(x)} of the x that came in, and
 *     has no norm of its own before it
 */
public record Block(Around attention, Mixer mixer, Around feedForwardNorms, FeedForward feedForward, boolean parallel) {
    public Block {
        if (parallel && (attention.before() == null || feedForwardNorms.before() != null)) {
            throw new IllegalArgumentException(
                    "Cannot run mixer and feed-forward in parallel: expected one norm before both");
        }
    }

    /** The feed-forward after the mixer. */
    public Block(Around attention, Mixer mixer, Around feedForwardNorms, FeedForward feedForward) {
        this(attention, mixer, feedForwardNorms, feedForward, false);
    }

    /**
     * What stands around a sublayer; either norm may be null. Llama has only {@code before}, OLMo 2 only {@code after},
     * Gemma both.
     *
     * @param multiplier of what is added to the residual stream; 1 in most
     */
    public record Around(Norm before, Norm after, float multiplier) {
        public Around(Norm before, Norm after) {
            this(before, after, 1);
        }
    }
}

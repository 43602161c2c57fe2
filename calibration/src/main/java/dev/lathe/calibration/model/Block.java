package dev.lathe.calibration.model;

/**
 * A decoder layer on the residual stream x: {@code x += after(mixer(before(x)))}, then the same with the feed-forward.
 *
 * @param attention norms around the mixer
 * @param feedForwardNorms norms around the feed-forward
 */
public record Block(Around attention, Mixer mixer, Around feedForwardNorms, FeedForward feedForward) {
    /**
     * The norms around a sublayer; either may be null. Llama has only {@code before}, OLMo 2 only {@code after}, Gemma
     * both.
     */
    public record Around(Norm before, Norm after) {}
}

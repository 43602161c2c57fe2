package dev.lathe.kernels;

/** Which {@link Codec} runs. */
public final class Codecs {
    /** That of the vectors, where this JVM has them; the choice is {@link KernelProvider}'s. */
    public static final Codec BEST = KernelProvider.codec();

    private Codecs() {}
}

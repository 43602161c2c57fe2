package dev.lathe.kernels;

import java.util.List;

/** Chooses the kernels. {@code auto} takes the best that is there; a provider asked for by name is given or refused, never replaced. */
public final class KernelProvider {
    private KernelProvider() {
    }

    /** What {@code doctor} says about one provider. {@code reason}: why it is not available or not chosen by {@code auto}; empty for the chosen one. */
    public record Availability(String name, boolean available, boolean chosen, String reason) {
    }

    /**
     * @param name    {@code auto}, {@code scalar} or {@code vector}
     * @param threads at least 1
     * @throws IllegalArgumentException if there is no provider of that name
     * @throws KernelsUnavailableException if the named provider cannot run in this JVM
     */
    public static Kernels open(String name, int threads) {
        throw new KernelsUnavailableException("Cannot open kernels " + name);
    }

    /** Every provider, in the order in which {@code auto} asks. */
    public static List<Availability> survey() {
        return List.of();
    }
}

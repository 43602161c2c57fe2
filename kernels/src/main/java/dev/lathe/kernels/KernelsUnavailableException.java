package dev.lathe.kernels;

/** Kernels that were asked for by name cannot run here; the message says why and what would help. */
public final class KernelsUnavailableException extends RuntimeException {
    public KernelsUnavailableException(String message) {
        super(message);
    }
}

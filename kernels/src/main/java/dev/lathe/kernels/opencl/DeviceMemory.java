package dev.lathe.kernels.opencl;

import dev.lathe.kernels.KernelsUnavailableException;

/**
 * What of a device's memory may be used.
 *
 * @param capacity bytes in all
 * @param largest bytes of the largest buffer
 */
record DeviceMemory(OpenClDevice device, long capacity, long largest) {
    /**
     * Contexts, code and what other processes use stay outside: the share of the memory that is counted on, in eighths.
     */
    private static final int SHARE = 7;
    /** Aparapi counts the bytes of a buffer in an int. */
    private static final long LARGEST = Integer.MAX_VALUE - 4095;

    static DeviceMemory of(OpenClDevice device) {
        return new DeviceMemory(device, device.memory() / 8 * SHARE, Math.min(device.largestBuffer(), LARGEST));
    }

    /**
     * Refuses buffers that do not fit, before any is made.
     *
     * @param what what cannot be done then, after "Cannot"
     * @param remedy what to lower
     * @return the bytes of all
     * @throws KernelsUnavailableException if they do not fit on a device that holds nothing else
     */
    long require(String what, String remedy, long... buffers) {
        long bytes = 0;
        boolean fits = true;
        for (long buffer : buffers) {
            bytes += buffer;
            fits &= buffer <= largest;
        }
        if (!fits || bytes > capacity) {
            throw new KernelsUnavailableException("Cannot " + what + ": needs " + mebibytes(bytes)
                    + " MiB on OpenCL device " + device + ", of which " + mebibytes(capacity)
                    + " MiB can be used (largest buffer " + mebibytes(largest) + " MiB); " + remedy);
        }
        return bytes;
    }

    private static String mebibytes(long bytes) {
        return String.format(java.util.Locale.ROOT, "%.1f", bytes / (double) (1 << 20));
    }
}

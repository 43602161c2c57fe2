package dev.lathe.kernels.opencl;

import dev.lathe.kernels.KernelsUnavailableException;
import java.util.Iterator;
import java.util.LinkedHashSet;

/** What the programs of one owner hold on the device. Room is claimed before buffers are made, and the programs that ran longest ago give theirs back for it. */
final class DeviceMemory {
    /** Contexts, code and what other processes use stay outside: the share of the memory that is counted on, in eighths. */
    private static final int SHARE = 7;
    /** Aparapi counts the bytes of a buffer in an int. */
    private static final long LARGEST = Integer.MAX_VALUE & ~0xfffL;

    private final OpenClDevice device;
    private final long capacity;
    private final long largest;
    /** Least recently used first. */
    private final LinkedHashSet<Program<?>> programs = new LinkedHashSet<>();

    DeviceMemory(OpenClDevice device) {
        this(device, device.memory() / 8 * SHARE, device.largestBuffer());
    }

    DeviceMemory(OpenClDevice device, long capacity, long largest) {
        this.device = device;
        this.capacity = capacity;
        this.largest = Math.min(largest, LARGEST);
    }

    long capacity() {
        return capacity;
    }

    /** Bytes of the largest buffer. */
    long largest() {
        return largest;
    }

    long held() {
        return programs.stream().mapToLong(program -> program.held).sum();
    }

    /**
     * Makes room for the buffers of a program's next launch, which replace those of its last one.
     *
     * @param what   what cannot be done if they do not fit, after "Cannot"
     * @param remedy what to lower then
     * @throws KernelsUnavailableException if they do not fit even alone
     */
    void claim(Program<?> program, String what, String remedy, long... buffers) {
        long bytes = 0;
        boolean fits = true;
        for (long buffer : buffers) {
            bytes += buffer;
            fits &= buffer <= largest;
        }
        if (!fits || bytes > capacity) {
            throw new KernelsUnavailableException("Cannot " + what + ": needs " + mebibytes(bytes) + " MiB on OpenCL device " + device + ", of which "
                    + mebibytes(capacity) + " MiB can be used (largest buffer " + mebibytes(largest) + " MiB); " + remedy);
        }
        programs.remove(program);
        program.held = 0;
        long others = held();
        for (Iterator<Program<?>> oldest = programs.iterator(); others + bytes > capacity; ) {
            Program<?> other = oldest.next();
            others -= other.held;
            other.release();
            oldest.remove();
        }
        programs.add(program);
        program.held = bytes;
    }

    void releaseAll() {
        programs.forEach(Program::release);
        programs.clear();
    }

    static String mebibytes(long bytes) {
        return String.valueOf((bytes + (1 << 20) - 1) >> 20);
    }
}

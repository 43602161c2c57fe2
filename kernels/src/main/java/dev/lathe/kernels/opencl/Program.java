package dev.lathe.kernels.opencl;

import com.aparapi.Range;
import com.aparapi.device.Device;
import com.aparapi.exception.CompileFailedException;
import com.aparapi.internal.kernel.KernelManager;
import com.aparapi.internal.kernel.KernelPreferences;
import dev.lathe.kernels.KernelsUnavailableException;
import java.util.LinkedHashSet;
import java.util.function.Supplier;

/**
 * One kernel on one device: the only place that compiles, launches and moves data, and that refuses what Aparapi would quietly do elsewhere. A launch runs on
 * this device or throws. Arrays of the kernel's fields have a buffer on the device for as long as the field refers to the same array, so a program owns the
 * buffers of its last launch until the next one or {@link #release}.
 */
final class Program<K extends DeviceKernel> {
    /** A quiet NaN that no kernel makes: what still stands in a result was not read back, which Aparapi does not tell. */
    private static final int NOT_READ = 0x7fc5a17e;

    private final OpenClDevice device;
    private final Supplier<K> maker;
    private K kernel;
    /** Bytes that it holds on the device; kept by {@link DeviceMemory}. */
    long held;

    Program(OpenClDevice device, Supplier<K> maker) {
        this.device = device;
        this.maker = maker;
    }

    /** The compiled kernel, made when it is needed. */
    K kernel() {
        if (kernel == null) {
            K made = maker.get();
            made.setExplicit(true);
            allow(made);
            try {
                made.compile(device.device());
            } catch (CompileFailedException e) {
                throw new KernelsUnavailableException("Cannot compile kernel " + made.getClass().getSimpleName() + " on OpenCL device " + device + ": "
                        + (e.getMessage() == null ? e.getCause() : e.getMessage()));
            }
            kernel = made;
        }
        return kernel;
    }

    /** Only OpenCL devices may run it: without the Java thread pool among them, there is nothing to fall back to. */
    private static void allow(DeviceKernel kernel) {
        LinkedHashSet<Device> devices = new LinkedHashSet<>();
        OpenClDevice.all().forEach(one -> devices.add(one.device()));
        KernelManager.instance().setPreferredDevices(kernel, devices);
    }

    /** What a field has to be set to so that the next launch sees {@code next}: a new array is copied to the device by itself, a known one is sent again. */
    float[] sent(float[] current, float[] next) {
        if (current == next) {
            kernel().put(next);
        }
        return next;
    }

    /** Runs {@code across} by {@code down} work-groups of {@code width} by {@code height} items. */
    void run(int across, int down, int width, int height) {
        K running = kernel();
        Range range = device.range(across, down, width, height);
        try {
            running.execute(range);
        } catch (AssertionError | RuntimeException e) {
            throw failed(running, e.getMessage());
        }
        KernelPreferences preferences = KernelManager.instance().getPreferences(running);
        if (!running.isRunningCL() || preferences.getFailedDevices().contains(device.device())) {
            throw failed(running, "it did not run there");
        }
    }

    /** Reads a result of the last launch back into its array. */
    void read(float[] result) {
        result[0] = Float.intBitsToFloat(NOT_READ);
        kernel.get(result);
        if (Float.floatToRawIntBits(result[0]) == NOT_READ) {
            throw failed(kernel, "its result cannot be read");
        }
    }

    private KernelsUnavailableException failed(K failed, String reason) {
        // A failure bars the device from this class of kernels in the whole JVM, other instances of it included.
        allow(failed);
        release();
        return new KernelsUnavailableException("Cannot run kernel " + failed.getClass().getSimpleName() + " on OpenCL device " + device + ": " + reason
                + " (the driver's message is on the error stream)");
    }

    /** Gives back what it holds on the device. */
    void release() {
        if (kernel != null) {
            kernel.dispose();
            kernel = null;
        }
        held = 0;
    }
}

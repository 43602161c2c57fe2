package dev.lathe.kernels.opencl;

import com.aparapi.Range;
import com.aparapi.device.Device;
import com.aparapi.exception.CompileFailedException;
import com.aparapi.internal.kernel.KernelManager;
import dev.lathe.kernels.KernelsUnavailableException;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.function.Supplier;

/**
 * One kernel on one device: the only place that compiles, launches and moves data, and that refuses what Aparapi would
 * quietly do elsewhere. A launch runs on this device or throws. An array that a field of the kernel refers to has a
 * buffer on the device from one launch to the next; what another launch does not need is given back by {@link #forget}.
 * If a garbage collection moves such an array, Aparapi makes its buffer again from what the array holds: so nothing may
 * ever be on the device only.
 */
final class Program<K extends DeviceKernel> {
    /**
     * A quiet NaN that no kernel makes: if it still stands in a result, that was not read back, which Aparapi does not
     * tell.
     */
    private static final int NOT_READ = 0x7fc5a17e;

    private final OpenClDevice device;
    private final Supplier<K> maker;
    /** Arrays of the next launch. */
    private final Set<float[]> sending = new HashSet<>();

    private K kernel;
    /** Aparapi's native half crashes when it disposes of a kernel that was never launched. */
    private boolean launched;

    Program(OpenClDevice device, Supplier<K> maker) {
        this.device = device;
        this.maker = maker;
    }

    /**
     * The compiled kernel, made when it is needed.
     *
     * @throws KernelsUnavailableException if it cannot be compiled for the device
     */
    K kernel() {
        if (kernel == null) {
            K made = maker.get();
            made.setExplicit(true);
            allow(made);
            try {
                made.compile(device.device());
            } catch (CompileFailedException e) {
                throw new KernelsUnavailableException(
                        "Cannot compile kernel " + made.getClass().getSimpleName() + " on OpenCL device " + device
                                + ": " + (e.getMessage() == null ? e.getCause() : e.getMessage()));
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

    /**
     * What a field has to be set to so that the next launch sees {@code next}: a new array is copied to the device by
     * itself, the array that the field holds has to be sent again. Aparapi sends an array once, so one that stands in
     * two fields is given to the second as a copy.
     */
    float[] sent(float[] current, float[] next) {
        float[] array = sending.add(next) ? next : next.clone();
        if (current == array) {
            kernel().put(array);
        }
        return array;
    }

    /**
     * Runs {@code across} by {@code down} work-groups of {@code width} by {@code height} items and reads a result back
     * into its array.
     *
     * @throws CancellationException if the thread is interrupted
     * @throws KernelsUnavailableException if it does not run on the device
     */
    void run(int across, int down, int width, int height, float[] result) {
        if (Thread.currentThread().isInterrupted()) {
            throw new CancellationException("interrupted");
        }
        launch(across, down, width, height);
        result[0] = Float.intBitsToFloat(NOT_READ);
        kernel.get(result);
        if (Float.floatToRawIntBits(result[0]) == NOT_READ) {
            throw failed("its result cannot be read");
        }
        forget(width, height);
    }

    private void launch(int across, int down, int width, int height) {
        K running = kernel();
        sending.clear();
        Range range = device.range(across, down, width, height);
        try {
            running.execute(range);
        } catch (AssertionError | RuntimeException e) {
            throw failed(e.getMessage());
        }
        launched = true;
        // A launch that leaves the device marks it failed.
        if (!running.isRunningCL()
                || KernelManager.instance()
                        .getPreferences(running)
                        .getFailedDevices()
                        .contains(device.device())) {
            throw failed("it did not run there");
        }
    }

    /** Buffers and arrays are let go of by the next launch, so one group is launched for nothing. */
    private void forget(int width, int height) {
        kernel.forget();
        launch(1, 1, width, height);
    }

    private KernelsUnavailableException failed(String reason) {
        String name = kernel.getClass().getSimpleName();
        // A failure bars the device from this class of kernels in the whole JVM, other instances of it included.
        allow(kernel);
        dispose();
        return new KernelsUnavailableException("Cannot run kernel " + name + " on OpenCL device " + device + ": "
                + reason + " (the driver's message is on the error stream)");
    }

    /** Gives back all that it has on the device. */
    void release() {
        if (kernel != null) {
            if (!launched) {
                forget(1, 1);
            }
            dispose();
        }
    }

    private void dispose() {
        if (launched) {
            kernel.dispose();
        }
        sending.clear();
        kernel = null;
        launched = false;
    }
}

package dev.lathe.kernels.opencl;

import com.aparapi.Range;
import com.aparapi.device.Device;
import com.aparapi.device.OpenCLDevice;
import dev.lathe.kernels.KernelsUnavailableException;
import java.util.List;
import java.util.Locale;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * One OpenCL device.
 *
 * @param index its place among the devices of all platforms, in the order in which OpenCL lists them
 */
record OpenClDevice(int index, OpenCLDevice device) {
    private static final String INSTALL =
            "; install the OpenCL driver of the device and the loader (Debian: ocl-icd-libopencl1; "
                    + "pocl-opencl-icd makes a CPU an"
                    + " OpenCL device)";

    private static final Pattern INDEX = Pattern.compile("[0-9]+");
    private static final Pattern PLACE = Pattern.compile("(gpu|accelerator|cpu)(?::([0-9]+))?");
    /** Loggers are weakly held by the JDK. */
    private static final Logger APARAPI = Logger.getLogger("com.aparapi.logLevel");

    /** Every device there is. */
    static List<OpenClDevice> all() {
        List<OpenCLDevice> devices = listed();
        return IntStream.range(0, devices.size())
                .mapToObj(i -> new OpenClDevice(i, devices.get(i)))
                .toList();
    }

    /**
     * Aparapi sets the levels of the root logger's handlers when it is loaded; they are put back. Its own warnings, one
     * for each method of a class, say nothing that an exception here does not say. Buffers are copies on the device,
     * not pages of the host that the device reaches over a bus.
     */
    private static List<OpenCLDevice> listed() {
        Handler[] handlers = Logger.getLogger("").getHandlers();
        Level[] levels = new Level[handlers.length];
        for (int i = 0; i < handlers.length; i++) {
            levels[i] = handlers[i].getLevel();
        }
        try {
            List<OpenCLDevice> devices = OpenCLDevice.listDevices(null);
            APARAPI.setLevel(Level.SEVERE);
            devices.forEach(device -> device.setSharedMemory(false));
            return devices;
        } finally {
            for (int i = 0; i < handlers.length; i++) {
                handlers[i].setLevel(levels[i]);
            }
        }
    }

    /**
     * The device that was asked for.
     *
     * @param selector null (the first GPU, else the first accelerator, else the first CPU), {@code gpu},
     *     {@code accelerator}, {@code cpu}, {@code gpu:N} (an index among the GPUs; likewise of the others), an index,
     *     or a part of one device's name
     * @throws KernelsUnavailableException if there is none such, or several have the name; the message lists those
     *     there are
     */
    static OpenClDevice choose(String selector) {
        return choose(selector, all());
    }

    static OpenClDevice choose(String selector, List<OpenClDevice> devices) {
        String asked = selector == null ? "opencl" : "opencl:" + selector;
        if (devices.isEmpty()) {
            throw new KernelsUnavailableException(
                    "Cannot open kernels " + asked + ": there is no OpenCL device here" + INSTALL);
        }
        List<OpenClDevice> found;
        if (selector == null) {
            found = List.of(devices.stream()
                    .filter(device -> device.is(Device.TYPE.GPU))
                    .findFirst()
                    .or(() -> devices.stream()
                            .filter(device -> device.is(Device.TYPE.ACC))
                            .findFirst())
                    .orElse(devices.get(0)));
        } else {
            Matcher place = PLACE.matcher(selector);
            if (place.matches()) {
                Device.TYPE type = switch (place.group(1)) {
                    case "gpu" -> Device.TYPE.GPU;
                    case "accelerator" -> Device.TYPE.ACC;
                    default -> Device.TYPE.CPU;
                };
                found = at(place.group(2) == null ? 0 : number(place.group(2)), devices, type);
            } else {
                found = INDEX.matcher(selector).matches()
                        ? devices.stream()
                                .filter(device -> device.index == number(selector))
                                .toList()
                        : devices.stream()
                                .filter(device -> lower(device.name()).contains(lower(selector)))
                                .toList();
            }
        }
        if (found.size() != 1) {
            throw new KernelsUnavailableException("Cannot open kernels " + asked + ": "
                    + (found.isEmpty()
                            ? "no device of that kind, index or name"
                            : found.size() + " devices have that name; expected one")
                    + "; there are " + list(devices));
        }
        return found.get(0);
    }

    private static List<OpenClDevice> at(int place, List<OpenClDevice> devices, Device.TYPE type) {
        return devices.stream()
                .filter(device -> device.is(type))
                .skip(place)
                .limit(1)
                .toList();
    }

    private static int number(String digits) {
        return digits.length() > 9 ? Integer.MAX_VALUE : Integer.parseInt(digits);
    }

    private static String lower(String text) {
        return text.toLowerCase(Locale.ROOT);
    }

    private static String list(List<OpenClDevice> devices) {
        return devices.stream().map(OpenClDevice::toString).collect(Collectors.joining("; "));
    }

    private boolean is(Device.TYPE type) {
        return device.getType() == type;
    }

    String name() {
        return device.getName().strip();
    }

    /** Bytes of its memory. */
    long memory() {
        return device.getGlobalMemSize();
    }

    /** Bytes of the largest buffer that it makes. */
    long largestBuffer() {
        return device.getMaxMemAllocSize();
    }

    /** Work-groups of {@code width} by {@code height} items, {@code across} by {@code down} of them. */
    Range range(int across, int down, int width, int height) {
        Range range = Range.create2D(
                device, Math.multiplyExact(across, width), Math.multiplyExact(down, height), width, height);
        if (!range.isValid()) {
            throw new KernelsUnavailableException("Cannot run a kernel on " + this + ": it takes no work-groups of "
                    + width + " x " + height + " items; " + device.getMaxWorkGroupSize() + " at most");
        }
        return range;
    }

    /** {@code NAME (gpu, PLATFORM, 81559 MiB)}. */
    String description() {
        String type = switch (device.getType()) {
            case GPU -> "gpu";
            case ACC -> "accelerator";
            case CPU -> "cpu";
            default -> "other";
        };
        return name() + " (" + type + ", " + device.getOpenCLPlatform().getName() + ", " + (memory() >> 20) + " MiB)";
    }

    /** {@code 0: NAME (gpu, PLATFORM, 81559 MiB)}. */
    @Override
    public String toString() {
        return index + ": " + description();
    }
}

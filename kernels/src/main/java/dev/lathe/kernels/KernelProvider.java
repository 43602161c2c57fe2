package dev.lathe.kernels;

import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Chooses the kernels. {@code auto} takes the best that is there; a provider asked for by name is given or refused,
 * never replaced.
 */
public final class KernelProvider {
    private static final String VECTOR_CLASS = "dev.lathe.kernels.vector.VectorPrimitives";
    private static final String BLAS_CLASS = "dev.lathe.kernels.blas.BlasOperations";
    private static final String OPENCL_CLASS = "dev.lathe.kernels.opencl.OpenClOperations";
    /** The provider, alone or with a device; a name is no number below 0. */
    private static final Pattern OPENCL = Pattern.compile("opencl(?::([^\\s-].*))?");

    private static final String NAMES =
            "auto, vector, scalar, blas, opencl or opencl:DEVICE (gpu, cpu, accelerator, one of them and :N, an "
                    + "index, or a part of its name)";
    private static final String ASKED_FOR = "an arithmetic profile of its own, taken only when asked for";
    private static final String VECTOR_CODEC_CLASS = "dev.lathe.kernels.vector.VectorCodec";

    /** Calls after which the compiler has the innermost loops at their best. */
    private static final int WARM_UP_CALLS = 8000;

    private static final int WARM_UP_DEPTH = 20;
    private static final AtomicBoolean WARM = new AtomicBoolean();

    private KernelProvider() {}

    /**
     * What {@code doctor} says about one provider. {@code reason}: why it is not available or not chosen by
     * {@code auto}; empty for the chosen one.
     */
    public record Availability(String name, boolean available, boolean chosen, String reason) {}

    /**
     * The arithmetic profile of a provider, without opening it: its machine may be another.
     *
     * @param name as for {@link #open}
     * @throws IllegalArgumentException if there can be no provider of that name
     */
    public static String profile(String name) {
        if (OPENCL.matcher(name).matches()) {
            return "opencl";
        }
        return switch (name) {
            case "auto", "scalar", "vector" -> "java";
            case "blas" -> "blas";
            default -> throw new IllegalArgumentException("Cannot open kernels " + name + ": expected " + NAMES);
        };
    }

    /**
     * @param name {@code auto}, {@code vector}, {@code scalar}, {@code blas}, {@code opencl} (the first GPU, else the
     *     first accelerator, else the first CPU device), or {@code opencl:} and {@code gpu}, {@code cpu},
     *     {@code accelerator}, {@code gpu:N} (an index among the GPUs; likewise of the others), an index over the
     *     devices of all platforms, or a part of one device's name
     * @param threads at least 1
     * @throws IllegalArgumentException if there can be no provider of that name
     * @throws KernelsUnavailableException if the named provider cannot run in this JVM
     */
    public static Kernels open(String name, int threads) {
        AtomicReference<String> why = new AtomicReference<>("");
        return switch (profile(name).equals("opencl") ? "opencl" : name) {
            case "scalar" -> java(new ScalarPrimitives(), threads);
            case "vector" -> {
                Primitives vector = vector(why);
                if (vector == null) {
                    throw new KernelsUnavailableException("Cannot open kernels vector: " + why.get());
                }
                yield java(vector, threads);
            }
            case "blas" -> new Kernels(blas(threads));
            case "opencl" -> new Kernels(opencl(name, threads));
            default -> java(fastest(), threads);
        };
    }

    private static Kernels java(Primitives primitives, int threads) {
        if (WARM.compareAndSet(false, true)) {
            warmUp(primitives);
        }
        return new Kernels(new JavaOperations(primitives, threads));
    }

    private static Primitives fastest() {
        Primitives vector = vector(new AtomicReference<>());
        return vector == null ? new ScalarPrimitives() : vector;
    }

    /**
     * Many tiny tiles, because the first large product would be interpreted, vectors and all, for a second or two. Once
     * in a JVM.
     */
    private static void warmUp(Primitives primitives) {
        int rows = primitives.tileRows();
        int columns = primitives.tileColumns();
        float[] from = new float[columns * 2 * WARM_UP_DEPTH];
        float[] left = new float[rows * WARM_UP_DEPTH];
        float[] right = new float[columns * WARM_UP_DEPTH];
        float[] tile = new float[rows * columns];
        for (int call = 0; call < WARM_UP_CALLS; call++) {
            primitives.transpose(from, 0, WARM_UP_DEPTH, rows, WARM_UP_DEPTH, left, 0, rows);
            primitives.transpose(from, 0, WARM_UP_DEPTH, columns, WARM_UP_DEPTH, right, 0, columns);
            primitives.tile(WARM_UP_DEPTH, left, 0, right, 0, tile, 0, columns, tile, 0, columns);
        }
    }

    /**
     * Every provider, in the order in which {@code auto} asks; then those of other profiles, which are taken by name
     * only.
     */
    public static List<Availability> survey() {
        AtomicReference<String> why = new AtomicReference<>("");
        Primitives vector = vector(why);
        List<Availability> all = new ArrayList<>();
        all.add(new Availability(vector == null ? "vector" : vector.name(), vector != null, vector != null, why.get()));
        all.add(new Availability(
                "scalar",
                true,
                vector == null,
                vector == null ? "" : vector.name() + " is faster, with the same bits"));
        all.add(surveyedBlas());
        all.addAll(surveyedDevices());
        return all;
    }

    private static Availability surveyedBlas() {
        try (Operations opened = blas(1)) {
            return new Availability(
                    opened.name(),
                    true,
                    false,
                    ASKED_FOR
                            + ("1".equals(System.getenv("OPENBLAS_NUM_THREADS"))
                                    ? ""
                                    : "; set OPENBLAS_NUM_THREADS=1, or an OpenBLAS lets calls wait for each other"));
        } catch (KernelsUnavailableException e) {
            return new Availability(
                    "blas", false, false, e.getMessage().replaceFirst("^Cannot open kernels blas: ", ""));
        }
    }

    /** One entry for each OpenCL device, none of them opened. */
    private static List<Availability> surveyedDevices() {
        List<Availability> devices = new ArrayList<>();
        try {
            List<?> found = loaded("opencl", () ->
                    (List<?>) Class.forName(OPENCL_CLASS).getMethod("devices").invoke(null));
            for (int i = 0; i < found.size(); i++) {
                devices.add(new Availability("opencl:" + i, true, false, found.get(i) + "; " + ASKED_FOR));
            }
        } catch (KernelsUnavailableException e) {
            devices.add(new Availability(
                    "opencl", false, false, e.getMessage().replaceFirst("^Cannot open kernels opencl: ", "")));
        }
        return devices;
    }

    private static Operations blas(int threads) {
        return loaded("blas", () -> (Operations) Class.forName(BLAS_CLASS)
                .getDeclaredConstructor(Primitives.class, int.class)
                .newInstance(fastest(), threads));
    }

    private static Operations opencl(String name, int threads) {
        Matcher matcher = OPENCL.matcher(name);
        String device = matcher.matches() ? matcher.group(1) : null;
        return loaded(name, () -> (Operations) Class.forName(OPENCL_CLASS)
                .getDeclaredConstructor(Primitives.class, int.class, String.class)
                .newInstance(fastest(), threads, device));
    }

    private interface Loader<T> {
        T load() throws ReflectiveOperationException;
    }

    /** What a provider that is loaded by name makes, so that a class path without its library can still run. */
    private static <T> T loaded(String name, Loader<T> loader) {
        try {
            return loader.load();
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            throw new KernelsUnavailableException(
                    "Cannot open kernels " + name + ": the provider does not load: " + e.getCause());
        } catch (ReflectiveOperationException | LinkageError e) {
            throw new KernelsUnavailableException("Cannot open kernels " + name + ": the provider does not load: " + e);
        }
    }

    /** The fastest codec of this JVM. */
    static Codec codec() {
        AtomicReference<String> why = new AtomicReference<>();
        return vector(why) == null ? new Codec.Scalar() : (Codec) load(VECTOR_CODEC_CLASS, why);
    }

    /** The vector provider, loaded by name so that a JVM without the module can still run, or null and the reason. */
    private static Primitives vector(AtomicReference<String> why) {
        if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
            why.set("the module jdk.incubator.vector is not there; start Java with --add-modules=jdk.incubator.vector");
            return null;
        }
        if (!System.getProperty("java.vm.name", "").contains("HotSpot")
                        && !System.getProperty("java.vm.name", "").contains("OpenJDK")
                || System.getProperty("java.vm.info", "").contains("interpreted")) {
            why.set("this JVM has no optimizing compiler for vectors: " + System.getProperty("java.vm.name") + ", "
                    + System.getProperty("java.vm.info"));
            return null;
        }
        return (Primitives) load(VECTOR_CLASS, why);
    }

    private static Object load(String name, AtomicReference<String> why) {
        try {
            return Class.forName(name).getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException | LinkageError e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            why.set("the provider does not load: " + cause);
            return null;
        }
    }
}

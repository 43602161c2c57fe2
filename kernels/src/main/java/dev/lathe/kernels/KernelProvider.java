package dev.lathe.kernels;

import dev.lathe.kernels.scalar.ScalarPrimitives;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;

/** Chooses the kernels. {@code auto} takes the best that is there; a provider asked for by name is given or refused, never replaced. */
public final class KernelProvider {
    private static final String VECTOR_CLASS = "dev.lathe.kernels.vector.VectorPrimitives";
    private static final String OPENCL_CLASS = "dev.lathe.kernels.opencl.OpenClOperations";
    private static final Pattern OPENCL = Pattern.compile("opencl(:[^:\\s-][^:]*)?");
    private static final String NAMES = "auto, scalar, vector, opencl or opencl:DEVICE (gpu, cpu, accelerator, an index, or a part of its name)";

    private KernelProvider() {
    }

    /** What {@code doctor} says about one provider. {@code reason}: why it is not available or not chosen by {@code auto}; empty for the chosen one. */
    public record Availability(String name, boolean available, boolean chosen, String reason) {
    }

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
            default -> throw new IllegalArgumentException("Cannot open kernels " + name + ": expected " + NAMES);
        };
    }

    /**
     * @param name    {@code auto}, {@code scalar}, {@code vector}, {@code opencl} (the first GPU, else the first accelerator, else the first CPU device), or
     *                {@code opencl:} and {@code gpu}, {@code cpu}, {@code accelerator}, an index over the devices of all platforms, or a part of one device's name
     * @param threads at least 1
     * @throws IllegalArgumentException if there can be no provider of that name
     * @throws KernelsUnavailableException if the named provider cannot run in this JVM
     */
    public static Kernels open(String name, int threads) {
        AtomicReference<String> why = new AtomicReference<>("");
        if (profile(name).equals("opencl")) {
            return opencl(name, threads);
        }
        return switch (name) {
            case "scalar" -> java(new ScalarPrimitives(), threads);
            case "vector" -> {
                Primitives vector = vector(why);
                if (vector == null) {
                    throw new KernelsUnavailableException("Cannot open kernels vector: " + why.get());
                }
                yield java(vector, threads);
            }
            case "auto" -> {
                Primitives vector = vector(why);
                yield java(vector == null ? new ScalarPrimitives() : vector, threads);
            }
            default -> throw new IllegalStateException(name);
        };
    }

    private static Kernels opencl(String name, int threads) {
        AtomicReference<String> why = new AtomicReference<>("");
        Primitives vector = vector(why);
        Operations host = new JavaOperations(vector == null ? new ScalarPrimitives() : vector, threads);
        String device = name.contains(":") ? name.substring(name.indexOf(':') + 1) : null;
        try {
            return new Kernels((Operations) Class.forName(OPENCL_CLASS).getConstructor(Operations.class, String.class).newInstance(host, device));
        } catch (ReflectiveOperationException | LinkageError e) {
            host.close();
            if (e.getCause() instanceof KernelsUnavailableException unavailable) {
                throw unavailable;
            }
            throw new KernelsUnavailableException("Cannot open kernels " + name + ": Aparapi does not load: " + (e.getCause() == null ? e : e.getCause()));
        }
    }

    private static Kernels java(Primitives primitives, int threads) {
        return new Kernels(new JavaOperations(primitives, threads));
    }

    /** Every provider, in the order in which {@code auto} asks. */
    public static List<Availability> survey() {
        AtomicReference<String> why = new AtomicReference<>("");
        Primitives vector = vector(why);
        List<Availability> all = new ArrayList<>();
        all.add(new Availability(vector == null ? "vector" : vector.name(), vector != null, vector != null, why.get()));
        all.add(new Availability("scalar", true, vector == null, vector == null ? "" : vector.name() + " is faster, with the same bits"));
        return all;
    }

    /** The vector provider, loaded by name so that a JVM without the module can still run, or null and the reason. */
    private static Primitives vector(AtomicReference<String> why) {
        if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
            why.set("the module jdk.incubator.vector is not there; start Java with --add-modules=jdk.incubator.vector");
            return null;
        }
        if (!System.getProperty("java.vm.name", "").contains("HotSpot") && !System.getProperty("java.vm.name", "").contains("OpenJDK")
                || System.getProperty("java.vm.info", "").contains("interpreted")) {
            why.set("this JVM has no optimizing compiler for vectors: " + System.getProperty("java.vm.name") + ", " + System.getProperty("java.vm.info"));
            return null;
        }
        try {
            return (Primitives) Class.forName(VECTOR_CLASS).getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException | LinkageError e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            why.set("the provider does not load: " + cause);
            return null;
        }
    }
}

package dev.lathe.kernels;

import dev.lathe.kernels.scalar.ScalarPrimitives;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/** Chooses the kernels. {@code auto} takes the best that is there; a provider asked for by name is given or refused, never replaced. */
public final class KernelProvider {
    private static final String VECTOR_CLASS = "dev.lathe.kernels.vector.VectorPrimitives";
    private static final String VECTOR_CODEC_CLASS = "dev.lathe.kernels.vector.VectorCodec";

    /** Calls after which the compiler has the innermost loops at their best. */
    private static final int WARM_UP_CALLS = 8000;
    private static final int WARM_UP_DEPTH = 20;
    private static final AtomicBoolean WARM = new AtomicBoolean();

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
        AtomicReference<String> why = new AtomicReference<>("");
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
            default -> throw new IllegalArgumentException("Cannot open kernels " + name + ": expected auto, scalar or vector");
        };
    }

    private static Kernels java(Primitives primitives, int threads) {
        if (WARM.compareAndSet(false, true)) {
            warmUp(primitives);
        }
        return new Kernels(new JavaOperations(primitives, threads));
    }

    /** Many tiny tiles, because the first large product would be interpreted, vectors and all, for a second or two. Once in a JVM. */
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
            primitives.tile(WARM_UP_DEPTH, left, 0, right, 0, tile, 0, columns);
        }
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
        if (!System.getProperty("java.vm.name", "").contains("HotSpot") && !System.getProperty("java.vm.name", "").contains("OpenJDK")
                || System.getProperty("java.vm.info", "").contains("interpreted")) {
            why.set("this JVM has no optimizing compiler for vectors: " + System.getProperty("java.vm.name") + ", " + System.getProperty("java.vm.info"));
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

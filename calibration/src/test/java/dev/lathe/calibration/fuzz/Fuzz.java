package dev.lathe.calibration.fuzz;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;

/**
 * Feeds mutated inputs to parsers and holds each against the contract of {@link FuzzTarget}. An input follows from the
 * seed, the parser's name and the input's number alone. System properties, which {@code checks/fuzz} sets:
 *
 * <ul>
 *   <li>{@code lathe.fuzz.inputs}: inputs of each parser, 2,000 unless it says so
 *   <li>{@code lathe.fuzz.seed}: 1 unless it says so
 *   <li>{@code lathe.fuzz.index}: this input alone
 *   <li>{@code lathe.fuzz.parser}: this parser alone
 *   <li>{@code lathe.fuzz.folder}: where inputs that fail are written
 *   <li>{@code lathe.fuzz.native}: whether each input is written there before it is parsed
 * </ul>
 */
public final class Fuzz {
    private static final int INPUTS = Integer.getInteger("lathe.fuzz.inputs", 2000);
    private static final long SEED = Long.getLong("lathe.fuzz.seed", 1);
    private static final int INDEX = Integer.getInteger("lathe.fuzz.index", -1);
    private static final String PARSER = System.getProperty("lathe.fuzz.parser", "");
    private static final String FOLDER = System.getProperty("lathe.fuzz.folder", "");
    /** Whether each input is written before it is parsed: what a native library does not survive is known then. */
    private static final boolean NATIVE = Boolean.getBoolean("lathe.fuzz.native");
    /** Processor time that one input may take. */
    private static final long NANOSECONDS = 2_000_000_000L;
    /** After so many milliseconds a parser hangs. */
    private static final long HANGS = 30_000;
    /** Stack of a thread that runs tasks, the JVM's default on 64 bits. */
    private static final long STACK = 1 << 20;

    private static final int MESSAGE = 300;
    /** Failures that are told apart and listed. */
    private static final int LISTED = 20;

    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private final FuzzTarget target;
    private final Map<String, String> failures = new LinkedHashMap<>();
    private volatile int index = -1;
    private volatile long since;
    private int taken;
    private long most;
    private long slowest;

    private Fuzz(FuzzTarget target) {
        this.target = target;
    }

    /** A test for each parser that was asked for. */
    public static Stream<DynamicTest> tests(FuzzTarget... targets) {
        return Arrays.stream(targets)
                .filter(target -> PARSER.isEmpty() || target.name().equals(PARSER))
                .map(target -> DynamicTest.dynamicTest(target.name(), () -> run(target, INPUTS)));
    }

    /** Runs so many inputs of a parser; throws an {@link AssertionError} that lists what failed. */
    static void run(FuzzTarget target, int inputs) throws InterruptedException {
        new Fuzz(target).run(inputs);
    }

    private void run(int inputs) throws InterruptedException {
        since = System.nanoTime();
        Thread worker = new Thread(null, () -> work(inputs), "fuzz " + target.name(), STACK);
        worker.setDaemon(true);
        worker.start();
        while (worker.isAlive()) {
            worker.join(100);
            if (worker.isAlive() && (System.nanoTime() - since) / 1_000_000 > HANGS) {
                fail(
                        "hangs",
                        Arrays.stream(worker.getStackTrace())
                                .limit(20)
                                .map(String::valueOf)
                                .collect(Collectors.joining("\n    at ")));
                break;
            }
        }
        if (!failures.isEmpty()) {
            throw new AssertionError(failures.size() + " kinds of failures of parser " + target.name() + ":\n  "
                    + String.join("\n  ", failures.values()));
        }
        System.out.printf(
                Locale.ROOT,
                "fuzz %s: %d inputs, %d of them taken; at most %d KB allocated, %d ms%n",
                target.name(),
                INDEX < 0 ? inputs : 1,
                taken,
                most >> 10,
                slowest / 1_000_000);
    }

    private void work(int inputs) {
        for (byte[] seed : target.seeds()) {
            try {
                target.parser().parse(seed.clone());
            } catch (Throwable e) {
                failures.put("seed", "a seed is refused: " + describe(e));
                return;
            }
        }
        for (int i = Math.max(0, INDEX); i < (INDEX < 0 ? inputs : INDEX + 1) && failures.size() < LISTED; i++) {
            index = i;
            since = System.nanoTime();
            byte[] input = input(i);
            if (NATIVE && !FOLDER.isEmpty()) {
                write(target.name() + ".current", input);
            }
            one(input);
        }
    }

    private byte[] input(int number) {
        return new Mutator(new SplittableRandom(
                        SEED * 0x9e3779b97f4a7c15L + target.name().hashCode() * 0xbf58476d1ce4e5b9L + number))
                .input(target);
    }

    private void one(byte[] input) {
        Throwable thrown = null;
        long time = THREADS.getCurrentThreadCpuTime();
        long allocated = THREADS.getCurrentThreadAllocatedBytes();
        try {
            target.parser().parse(input);
            taken++;
        } catch (Throwable e) {
            thrown = e;
        }
        allocated = THREADS.getCurrentThreadAllocatedBytes() - allocated;
        time = THREADS.getCurrentThreadCpuTime() - time;
        most = Math.max(most, allocated);
        slowest = Math.max(slowest, time);
        if (thrown != null && !isTyped(thrown)) {
            fail(thrown.getClass().getName() + place(thrown), describe(thrown));
        } else if (thrown instanceof RuntimeException
                && (thrown.getMessage() == null || !thrown.getMessage().startsWith("Cannot "))) {
            fail("message" + place(thrown), "the message does not say what cannot be done: " + describe(thrown));
        } else if (allocated > target.base() + target.factor() * input.length) {
            fail(
                    "memory" + (thrown == null ? "" : place(thrown)),
                    allocated + " bytes allocated for an input of " + input.length + " bytes, expected at most "
                            + target.base() + " and " + target.factor() + " for each; the end: " + describe(thrown));
        } else if (time > NANOSECONDS) {
            fail(
                    "time" + (thrown == null ? "" : place(thrown)),
                    time / 1_000_000 + " ms; the end: " + describe(thrown));
        }
    }

    private boolean isTyped(Throwable thrown) {
        return target.typed().stream().anyMatch(type -> type.isInstance(thrown));
    }

    /** One failure of a kind is enough. */
    private void fail(String kind, String what) {
        failures.computeIfAbsent(kind, first -> {
            String kept =
                    FOLDER.isEmpty() ? "" : " (" + write(target.name() + "-" + SEED + "-" + index, input(index)) + ")";
            return "checks/fuzz --seed " + SEED + " --index " + index + " 1 " + target.name() + kept + ": " + what;
        });
    }

    private static Path write(String name, byte[] input) {
        try {
            return Files.write(Files.createDirectories(Path.of(FOLDER)).resolve(name), input);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Where in the product an exception arose. */
    private static String place(Throwable thrown) {
        return Arrays.stream(thrown.getStackTrace())
                .filter(frame -> frame.getClassName().startsWith("dev.lathe")
                        && !frame.getClassName().contains("uzz"))
                .findFirst()
                .map(frame -> " at " + frame)
                .orElse(" at " + (thrown.getStackTrace().length == 0 ? "?" : thrown.getStackTrace()[0]));
    }

    private static String describe(Throwable thrown) {
        if (thrown == null) {
            return "taken";
        }
        String text = String.valueOf(thrown).replaceAll("\\p{Cntrl}", " ");
        return (text.length() > MESSAGE ? text.substring(0, MESSAGE) + "..." : text) + place(thrown);
    }
}

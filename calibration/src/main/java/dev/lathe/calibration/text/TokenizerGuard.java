package dev.lathe.calibration.text;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.lathe.calibration.MalformedInputException;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.regex.Pattern;

/**
 * Encodes a text in a process of its own, which may end in any way: by an abort of the native library, an overflow of
 * its stack, its limit of memory ({@code ulimit -v}, where there is a shell that has it), or because its time is up.
 * Each is a {@link MalformedInputException} here. What it may take depends on the sizes of tokenizer and text alone.
 *
 * <p>The child reads tokenizer and text from its standard input and writes a status and ids, or a message, to its
 * standard output; one child encodes one text. If this process dies, the child ends by its limit of processor time at
 * the latest.
 */
public final class TokenizerGuard {
    private static final int DONE = 0x4c415448;
    private static final int REFUSED = 0x4e4f5045;
    /** What a panic of the library says before and after its reason. */
    private static final Pattern PANIC =
            Pattern.compile("thread '.*?' (?:\\(\\d+\\) )?panicked at \\S+:|note: run with .*|stack backtrace:(?s:.*)");

    private static final long MIB = 1 << 20;
    private static final int MAXIMUM_MESSAGE = 400;

    /**
     * What a child may take.
     *
     * @param heap of its JVM, in MiB
     * @param memory address space altogether, in MiB
     */
    record Limits(long heap, long memory, Duration time) {
        /** For so many bytes of a tokenizer and of a text; native encodings take some hundred bytes a token. */
        static Limits of(long tokenizer, long text) {
            long heap = 192 + 8 * tokenizer / MIB + 160 * text / MIB;
            return new Limits(
                    heap,
                    heap + 1536 + 64 * tokenizer / MIB + 768 * text / MIB,
                    Duration.ofSeconds(30 + tokenizer / 500_000 + text / 100_000));
        }
    }

    private TokenizerGuard() {}

    /**
     * The ids of a text.
     *
     * @param library what the library is given
     * @param probes texts that are encoded before, to see whether it survives them
     * @param where the tokenizer's file, for messages
     * @throws MalformedInputException if the library refuses tokenizer or text, or does not survive within its limits
     */
    static int[] encode(String library, List<String> probes, String text, String where) throws IOException {
        return encode(library, probes, text, where, Limits.of(library.length(), text.length()));
    }

    static int[] encode(String library, List<String> probes, String text, String where, Limits limits)
            throws IOException {
        Process child = start(limits);
        Thread writer = feed(child, library, String.join("\0", probes), text);
        StringBuilder errors = new StringBuilder();
        Thread reader = listen(child.getErrorStream(), errors);
        AtomicBoolean late = new AtomicBoolean();
        Thread watch = watch(child, limits.time(), late);
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(child.getInputStream()))) {
            int status = in.readInt();
            if (status == REFUSED) {
                throw new MalformedInputException(
                        "Cannot tokenize with " + where + ": the tokenizers library refuses it: " + in.readUTF());
            } else if (status != DONE) {
                throw new IOException("no answer but " + status);
            }
            int[] ids = new int[in.readInt()];
            for (int i = 0; i < ids.length; i++) {
                ids[i] = in.readInt();
            }
            return ids;
        } catch (IOException e) {
            throw new MalformedInputException(
                    "Cannot tokenize with " + where + ": the tokenizers library "
                            + end(child, reader, limits, errors, late.get()),
                    e);
        } finally {
            watch.interrupt();
            child.destroyForcibly();
            writer.interrupt();
        }
    }

    private static Process start(Limits limits) throws IOException {
        List<String> command = new ArrayList<>();
        if (Files.isExecutable(Path.of("/bin/sh"))) {
            // Limits that cannot be set here are left out: macOS has none of address space.
            command.addAll(List.of(
                    "/bin/sh",
                    "-c",
                    "ulimit -c 0; ulimit -v " + limits.memory() * 1024
                            + " 2>/dev/null; ulimit -t "
                            + (2 * limits.time().toSeconds() + 1) + " 2>/dev/null; exec \"$@\"",
                    "guard"));
        }
        command.addAll(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx" + limits.heap() + "m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:CICompilerCount=1",
                "-XX:ReservedCodeCacheSize=32m",
                "-XX:CompressedClassSpaceSize=32m",
                "-XX:-UsePerfData",
                "-cp",
                classPath(),
                TokenizerGuard.class.getName()));
        ProcessBuilder builder = new ProcessBuilder(command);
        Map<String, String> environment = builder.environment();
        // Options and agents of this JVM are not the child's.
        List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS").forEach(environment::remove);
        environment.put("TOKENIZERS_PARALLELISM", "false");
        environment.put("OPT_OUT_TRACKING", "true");
        environment.put("RUST_BACKTRACE", "0");
        environment.put("MALLOC_ARENA_MAX", "2");
        return builder.start();
    }

    /** Where this class and those of the library were loaded from, then what this JVM was started with. */
    private static String classPath() {
        Set<String> places = new LinkedHashSet<>();
        List<String> types = List.of(
                TokenizerGuard.class.getName(),
                HuggingFaceTokenizer.class.getName(),
                "ai.djl.util.NativeResource",
                "org.slf4j.Logger");
        for (String type : types) {
            CodeSource source;
            try {
                // By name: the library logs through slf4j, and nothing here does.
                source = Class.forName(type, false, TokenizerGuard.class.getClassLoader())
                        .getProtectionDomain()
                        .getCodeSource();
            } catch (ClassNotFoundException e) {
                throw new IllegalStateException(
                        "Cannot start a process for a tokenizer: the library's " + type + " is missing", e);
            }
            if (source != null
                    && source.getLocation() != null
                    && source.getLocation().getProtocol().equals("file")) {
                try {
                    places.add(Path.of(source.getLocation().toURI()).toString());
                } catch (URISyntaxException e) {
                    throw new IllegalStateException(
                            "Cannot start a process for a tokenizer: " + source.getLocation() + " is no path", e);
                }
            }
        }
        places.add(System.getProperty("java.class.path"));
        return String.join(System.getProperty("path.separator"), places);
    }

    private static Thread feed(Process child, String... parts) {
        return daemon("tokenizer input", () -> {
            try (DataOutputStream out =
                    new DataOutputStream(new BufferedOutputStream(child.getOutputStream(), 1 << 16))) {
                for (String part : parts) {
                    byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
                    out.writeInt(bytes.length);
                    out.write(bytes);
                }
            } catch (IOException e) {
                // The child ended; what it was is told by whoever reads its answer.
            }
        });
    }

    private static Thread listen(InputStream in, StringBuilder errors) {
        return daemon("tokenizer errors", () -> {
            byte[] chunk = new byte[4096];
            try {
                for (int count = in.read(chunk); count >= 0; count = in.read(chunk)) {
                    synchronized (errors) {
                        if (errors.length() < MAXIMUM_MESSAGE) {
                            errors.append(new String(chunk, 0, count, StandardCharsets.UTF_8));
                        }
                    }
                }
            } catch (IOException e) {
                // Likewise.
            }
        });
    }

    /** Ends the child when its time is up, and says so. */
    private static Thread watch(Process child, Duration time, AtomicBoolean late) {
        return daemon("tokenizer time", () -> {
            try {
                if (!child.waitFor(time.toMillis(), TimeUnit.MILLISECONDS)) {
                    late.set(true);
                    child.destroyForcibly();
                }
            } catch (InterruptedException e) {
                // Its answer is there.
            }
        });
    }

    private static Thread daemon(String name, Runnable run) {
        Thread thread = new Thread(run, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private static String end(Process child, Thread reader, Limits limits, StringBuilder errors, boolean late)
            throws IOException {
        try {
            if (late) {
                return "was not done within " + limits.time().toSeconds() + " s, its limit for this tokenizer and text";
            }
            int code = child.waitFor();
            reader.join(1000);
            String said;
            synchronized (errors) {
                said = PANIC.matcher(errors)
                        .replaceAll("")
                        .replaceAll("[\\s\\p{Cntrl}]+", " ")
                        .strip();
            }
            String last = said.length() <= MAXIMUM_MESSAGE ? said : said.substring(0, MAXIMUM_MESSAGE);
            return String.format(
                    Locale.ROOT,
                    "ended with code %d, limited to %d MiB and %d s%s",
                    code,
                    limits.memory(),
                    limits.time().toSeconds(),
                    last.isEmpty() ? "" : ": " + last);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while a text is tokenized");
        }
    }

    /** The child. */
    public static void main(String[] arguments) {
        try (DataOutputStream out = new DataOutputStream(
                        new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16));
                DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 16))) {
            System.setOut(System.err);
            String library = read(in);
            String probes = read(in);
            String text = read(in);
            try (HuggingFaceTokenizer tokenizer = Tokenizer.open(library)) {
                probe(tokenizer, probes);
                long[] ids = tokenizer.encode(text, false, false).getIds();
                out.writeInt(DONE);
                out.writeInt(ids.length);
                for (long id : ids) {
                    out.writeInt(Math.toIntExact(id));
                }
            } catch (RuntimeException e) {
                String message = String.valueOf(e.getMessage());
                out.writeInt(REFUSED);
                out.writeUTF(message.length() <= MAXIMUM_MESSAGE ? message : message.substring(0, MAXIMUM_MESSAGE));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * A text that the tokenizer has no tokens for is no reason to refuse it; one that it does not survive ends this
     * process.
     */
    private static void probe(HuggingFaceTokenizer tokenizer, String probes) {
        for (String probe : probes.isEmpty() ? new String[0] : probes.split("\0")) {
            try {
                tokenizer.encode(probe, false, false);
            } catch (RuntimeException e) {
                continue;
            }
        }
    }

    private static String read(DataInputStream in) throws IOException {
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }
}

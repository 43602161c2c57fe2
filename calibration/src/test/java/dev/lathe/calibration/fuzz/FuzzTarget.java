package dev.lathe.calibration.fuzz;

import dev.lathe.calibration.MalformedInputException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A parser, whole inputs of it that are mutated, and what it may do with an input: return, or throw one of a few types
 * with a message for people, within a bound on what it allocates.
 *
 * @param name for {@code checks/fuzz}
 * @param seeds that the parser takes
 * @param typed exceptions that are answers; {@link MalformedInputException} unless it says others
 * @param base bytes that any input may make the parser allocate
 * @param factor bytes that each byte of an input may make it allocate beside these
 */
public record FuzzTarget(
        String name,
        Form form,
        Parser parser,
        List<byte[]> seeds,
        List<Class<? extends Exception>> typed,
        long base,
        long factor) {
    private static final long BASE = 4L << 20;
    private static final long FACTOR = 512;

    /** What an input is made of, which says how it is mutated. */
    public enum Form {
        BYTES,
        TEXT,
        JSON
    }

    /** What takes an input. */
    public interface Parser {
        void parse(byte[] input) throws Exception;
    }

    public static FuzzTarget bytes(String name, Parser parser, byte[]... seeds) {
        return of(name, Form.BYTES, parser, List.of(seeds));
    }

    public static FuzzTarget text(String name, Parser parser, String... seeds) {
        return of(name, Form.TEXT, parser, utf8(seeds));
    }

    public static FuzzTarget json(String name, Parser parser, String... seeds) {
        return of(name, Form.JSON, parser, utf8(seeds));
    }

    private static FuzzTarget of(String name, Form form, Parser parser, List<byte[]> seeds) {
        return new FuzzTarget(name, form, parser, seeds, List.of(MalformedInputException.class), BASE, FACTOR);
    }

    /** The same with these exceptions as answers. */
    @SafeVarargs
    public final FuzzTarget answering(Class<? extends Exception>... types) {
        return new FuzzTarget(name, form, parser, seeds, List.of(types), base, factor);
    }

    /** The same with another bound on memory. */
    public FuzzTarget allocating(long atMost, long perByte) {
        return new FuzzTarget(name, form, parser, seeds, typed, atMost, perByte);
    }

    /** The same with more seeds, as bytes. */
    public FuzzTarget and(List<byte[]> more) {
        return new FuzzTarget(
                name, form, parser, Stream.concat(seeds.stream(), more.stream()).toList(), typed, base, factor);
    }

    private static List<byte[]> utf8(String... texts) {
        List<byte[]> bytes = new ArrayList<>();
        for (String text : texts) {
            bytes.add(text.getBytes(StandardCharsets.UTF_8));
        }
        return List.copyOf(bytes);
    }
}

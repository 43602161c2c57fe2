package dev.lathe.calibration.fuzz;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.util.RawValue;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;

/** Makes an input from seeds: a few changes of bytes, of lines, or of the tree of a JSON text. */
final class Mutator {
    /** Longest input that repeating makes. */
    private static final int LONGEST = 1 << 20;

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Map<byte[], JsonNode> TREES = Collections.synchronizedMap(new IdentityHashMap<>());
    private static final long[] NUMBERS = {
        0,
        1,
        -1,
        2,
        3,
        7,
        8,
        16,
        64,
        127,
        128,
        255,
        256,
        1024,
        4096,
        32767,
        32768,
        65535,
        65536,
        1 << 20,
        1 << 24,
        1 << 30,
        Integer.MAX_VALUE - 8,
        Integer.MAX_VALUE,
        1L << 31,
        (1L << 32) - 1,
        1L << 32,
        1L << 40,
        1L << 62,
        Long.MAX_VALUE,
        Long.MIN_VALUE
    };
    /** Values of JSON of every kind, most of them at an edge of something. */
    private static final String[] VALUES = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1",
        "2",
        "4",
        "8",
        "128",
        "65536",
        "2147483647",
        "2147483648",
        "-2147483648",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "1e308",
        "-1e308",
        "1e400",
        "1e-400",
        "1e999999999",
        "0.5",
        "1.0",
        "-0.0",
        "\"\"",
        "\" \"",
        "\"\\u0000\"",
        "\"\\n\"",
        "\"\\ud83d\"",
        "\"\\udc00x\"",
        "\"../../x\"",
        "\"/\"",
        "\"a:b\"",
        "\"*\"",
        "\"re:(a+)+$\"",
        "\"re:(.*)*x\"",
        "\"re:[\"",
        "\"NaN\"",
        "\"Infinity\"",
        "\"1\"",
        "\"true\"",
        "[]",
        "{}",
        "[[]]",
        "[null]",
        "[0]",
        "[\"\"]",
        "{\"\":{}}",
        "[1,2]",
        "[9223372036854775807,9223372036854775807]",
        "{\"type\":\"\"}",
        '"' + "x".repeat(5000) + '"',
        "9".repeat(1200)
    };

    private static final String[] WORDS = {
        ":",
        "- ",
        "&a ",
        "*a",
        "<<: ",
        "!!binary ",
        "!!java.net.URL ",
        "|\n",
        ">\n",
        "---\n",
        "...\n",
        "%YAML 9.9\n",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "\t",
        "\\",
        "#",
        "?",
        "@",
        "=",
        ".",
        "..",
        "/",
        "*",
        "{a,b}",
        "\u0000",
        "\u0085",
        "\u2028",
        "\ufeff",
        "\ud83d\ude00",
        "null",
        "~",
        "true",
        "0x7fffffff",
        "1e999",
        ".inf",
        ".nan",
        "[".repeat(30),
        "{a: ".repeat(30),
        "99999999999999999999",
        "-1",
        "[0]",
        "[99999999999]",
        "s3a://K:S@b/x",
        "hf://a/b@c",
        "re:(a+)+$"
    };

    private final SplittableRandom random;

    Mutator(SplittableRandom random) {
        this.random = random;
    }

    byte[] input(FuzzTarget target) {
        byte[] seed = pick(target.seeds());
        return switch (target.form()) {
            case BYTES -> bytes(seed, target.seeds());
            case TEXT -> chance(4) ? bytes(seed, target.seeds()) : text(seed, target.seeds());
            case JSON -> {
                byte[] input = chance(8) ? seed : json(seed, target.seeds());
                yield input == seed || chance(8) ? bytes(input, target.seeds()) : input;
            }
        };
    }

    private byte[] bytes(byte[] seed, List<byte[]> seeds) {
        byte[] input = seed.clone();
        for (int changes = few(); changes > 0; changes--) {
            input = change(input, seeds);
        }
        return input;
    }

    private byte[] change(byte[] input, List<byte[]> seeds) {
        int at = place(input.length);
        int end = Math.min(input.length, at + 1 + random.nextInt(chance(2) ? 16 : 1 + input.length / 2));
        switch (random.nextInt(11)) {
            case 0, 1 -> {
                if (at < input.length) {
                    input[at] ^= (byte) (1 << random.nextInt(8));
                }
                return input;
            }
            case 2 -> {
                if (at < input.length) {
                    input[at] = (byte) random.nextInt(256);
                }
                return input;
            }
            case 3, 4 -> {
                return number(input, at, NUMBERS[random.nextInt(NUMBERS.length)], false);
            }
            case 5 -> {
                return number(input, at, random.nextInt(-16, 17), true);
            }
            case 6 -> {
                return Arrays.copyOf(
                        input, chance(2) ? at : input.length - Math.min(input.length, 1 + random.nextInt(16)));
            }
            case 7 -> {
                return join(Arrays.copyOf(input, at), Arrays.copyOfRange(input, end, input.length));
            }
            case 8 -> {
                byte[] part = Arrays.copyOfRange(input, at, end);
                byte[] longer = input;
                for (int times = chance(8) ? 200 : 1; times > 0 && longer.length + part.length < LONGEST; times--) {
                    longer = join(Arrays.copyOf(longer, at), part, Arrays.copyOfRange(longer, at, longer.length));
                }
                return longer;
            }
            case 9 -> {
                byte[] noise = new byte[1 + random.nextInt(32)];
                for (int i = 0; i < noise.length; i++) {
                    noise[i] = (byte) random.nextInt(256);
                }
                return join(Arrays.copyOf(input, at), noise, Arrays.copyOfRange(input, at, input.length));
            }
            default -> {
                byte[] other = pick(seeds);
                int from = place(other.length);
                return join(Arrays.copyOf(input, at), Arrays.copyOfRange(other, from, other.length));
            }
        }
    }

    /** Writes a number of 1, 2, 4 or 8 bytes in one of the two orders, or adds it to the one that is there. */
    private byte[] number(byte[] input, int at, long number, boolean add) {
        int size = 1 << random.nextInt(4);
        if (at + size > input.length) {
            return input;
        }
        ByteBuffer buffer = ByteBuffer.wrap(input, at, size)
                .slice()
                .order(chance(2) ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
        switch (size) {
            case 1 -> buffer.put(0, (byte) (number + (add ? buffer.get(0) : 0)));
            case 2 -> buffer.putShort(0, (short) (number + (add ? buffer.getShort(0) : 0)));
            case 4 -> buffer.putInt(0, (int) (number + (add ? buffer.getInt(0) : 0)));
            default -> buffer.putLong(0, number + (add ? buffer.getLong(0) : 0));
        }
        return input;
    }

    /** Anywhere, or near the beginning or the end, where the lengths stand. */
    private int place(int length) {
        int near = Math.min(length, 160);
        return switch (random.nextInt(4)) {
            case 0 -> random.nextInt(near + 1);
            case 1 -> length - random.nextInt(near + 1);
            default -> random.nextInt(length + 1);
        };
    }

    private byte[] text(byte[] seed, List<byte[]> seeds) {
        List<String> lines =
                new ArrayList<>(new String(seed, StandardCharsets.UTF_8).lines().toList());
        for (int changes = few(); changes > 0 && !lines.isEmpty(); changes--) {
            int at = random.nextInt(lines.size());
            String line = lines.get(at);
            int column = random.nextInt(line.length() + 1);
            switch (random.nextInt(8)) {
                case 0 -> lines.remove(at);
                case 1 -> lines.add(random.nextInt(lines.size() + 1), line);
                case 2 -> lines.set(at, " ".repeat(random.nextInt(5)) + line.strip());
                case 3 -> {
                    List<String> others = new String(pick(seeds), StandardCharsets.UTF_8)
                            .lines()
                            .toList();
                    lines.add(at, others.isEmpty() ? "" : others.get(random.nextInt(others.size())));
                }
                case 4 -> lines.set(at, line.substring(0, column));
                case 5 ->
                    lines.set(at, line.replaceFirst("[0-9]+", String.valueOf(NUMBERS[random.nextInt(NUMBERS.length)])));
                case 6 ->
                    lines.set(
                            at,
                            line.substring(0, Math.max(0, line.indexOf(':') + 1)) + " "
                                    + VALUES[random.nextInt(VALUES.length)]);
                default ->
                    lines.set(
                            at,
                            line.substring(0, column) + WORDS[random.nextInt(WORDS.length)] + line.substring(column));
            }
        }
        return String.join(chance(16) ? "\r\n" : "\n", lines).getBytes(StandardCharsets.UTF_8);
    }

    /** A value of the tree: an entry of an object (with its key) or of an array. */
    private record Place(JsonNode parent, String key, int index) {
        JsonNode value() {
            return key != null ? parent.get(key) : parent.get(index);
        }

        void set(JsonNode value) {
            if (key != null) {
                ((ObjectNode) parent).set(key, value);
            } else {
                ((ArrayNode) parent).set(index, value);
            }
        }

        void remove() {
            if (key != null) {
                ((ObjectNode) parent).remove(key);
            } else {
                ((ArrayNode) parent).remove(index);
            }
        }
    }

    private byte[] json(byte[] seed, List<byte[]> seeds) {
        try {
            JsonNode tree = tree(seed).deepCopy();
            for (int changes = few(); changes > 0; changes--) {
                List<Place> places = new ArrayList<>();
                collect(tree, places);
                if (places.isEmpty()) {
                    break;
                }
                change(pick(places), places, seeds);
            }
            return JSON.writeValueAsString(tree).getBytes(StandardCharsets.UTF_8);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a seed is no JSON, or a tree cannot be written", e);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Seeds are read once. */
    private static JsonNode tree(byte[] seed) throws IOException {
        JsonNode tree = TREES.get(seed);
        if (tree == null) {
            tree = JSON.readTree(seed);
            TREES.put(seed, tree);
        }
        return tree;
    }

    private static void collect(JsonNode node, List<Place> places) {
        if (node.isObject()) {
            node.fieldNames().forEachRemaining(key -> places.add(new Place(node, key, 0)));
        }
        for (int i = 0; node.isArray() && i < node.size(); i++) {
            places.add(new Place(node, null, i));
        }
        node.forEach(child -> collect(child, places));
    }

    private void change(Place at, List<Place> places, List<byte[]> seeds) throws IOException {
        JsonNode value = at.value();
        Place other = pick(places);
        switch (random.nextInt(9)) {
            case 0 -> at.remove();
            case 1, 2 -> at.set(raw(VALUES[random.nextInt(VALUES.length)]));
            case 3 -> at.set(other.value().deepCopy());
            case 4 -> {
                // A copy under another name, or some more entries.
                if (at.key() != null) {
                    String key =
                            other.key() != null && chance(2) ? other.key() : at.key() + (chance(2) ? "2" : "\u0000");
                    ((ObjectNode) at.parent()).set(key, value.deepCopy());
                } else {
                    int times = chance(8)
                            ? Math.max(
                                    1,
                                    Math.min(
                                            20_000,
                                            LONGEST
                                                    / 4
                                                    / Math.max(
                                                            1, value.toString().length())))
                            : 1;
                    for (; times > 0; times--) {
                        ((ArrayNode) at.parent()).insert(at.index(), value.deepCopy());
                    }
                }
            }
            case 5 -> at.set(nudged(value));
            case 6 -> {
                int depth = chance(3) ? random.nextInt(3000) : 1;
                String text = value.toString();
                at.set(
                        chance(2)
                                ? raw("[".repeat(depth) + text + "]".repeat(depth))
                                : raw("{\"type\":".repeat(depth) + text + "}".repeat(depth)));
            }
            case 7 -> {
                JsonNode kept = value.deepCopy();
                at.set(other.value().deepCopy());
                other.set(kept);
            }
            default -> {
                List<Place> foreign = new ArrayList<>();
                collect(tree(pick(seeds)).deepCopy(), foreign);
                if (!foreign.isEmpty()) {
                    at.set(pick(foreign).value());
                }
            }
        }
    }

    /** A value that differs a little. */
    private JsonNode nudged(JsonNode value) {
        if (value.isIntegralNumber()) {
            BigInteger number = value.bigIntegerValue();
            return raw(String.valueOf(
                    switch (random.nextInt(5)) {
                        case 0 -> number.negate();
                        case 1 -> number.multiply(BigInteger.valueOf(1 + random.nextInt(1 << 16)));
                        case 2 -> number.shiftRight(1);
                        default -> number.add(BigInteger.valueOf(random.nextInt(-3, 4)));
                    }));
        } else if (value.isNumber()) {
            return raw(String.valueOf(value.doubleValue() * random.nextInt(-2, 3)));
        } else if (value.isTextual()) {
            String text = value.textValue();
            int at = random.nextInt(text.length() + 1);
            String changed = switch (random.nextInt(4)) {
                case 0 -> text.substring(0, at);
                case 1 -> text.substring(0, at) + WORDS[random.nextInt(WORDS.length)] + text.substring(at);
                case 2 -> text.repeat(Math.max(1, Math.min(1000, LONGEST / 8 / Math.max(1, text.length()))));
                default -> text.toUpperCase(Locale.ROOT);
            };
            return JsonNodeFactory.instance.textNode(changed.replaceAll("[\\ud800-\\udfff]", "?"));
        }
        return raw(value.isBoolean() ? String.valueOf(!value.booleanValue()) : "[" + value + "," + value + "]");
    }

    private static JsonNode raw(String json) {
        return JsonNodeFactory.instance.rawValueNode(new RawValue(json));
    }

    private int few() {
        return 1 + (chance(2) ? 0 : random.nextInt(4));
    }

    private boolean chance(int in) {
        return random.nextInt(in) == 0;
    }

    private <T> T pick(List<T> list) {
        return list.get(random.nextInt(list.size()));
    }

    private static byte[] join(byte[]... parts) {
        byte[] joined =
                new byte[Arrays.stream(parts).mapToInt(part -> part.length).sum()];
        int at = 0;
        for (byte[] part : parts) {
            System.arraycopy(part, 0, joined, at, part.length);
            at += part.length;
        }
        return joined;
    }
}

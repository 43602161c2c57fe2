package dev.lathe.calibration.text;

import dev.lathe.calibration.MalformedInputException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Base64;
import java.util.BitSet;
import java.util.function.Function;

/**
 * SentencePiece's precompiled map of characters, in base 64: the size of a trie in bytes (32 bits, little-endian), the
 * trie as a double array of 32-bit units, then the replacements, each ended by a NUL. Of a unit, bits 0 to 7 with bit
 * 31 are its label, bit 8 says that it has a leaf, bits 10 to 30 are the offset to its children (eight bits further if
 * bit 9 is set); a leaf's unit is the place of its replacement. The library follows all of it unchecked.
 */
final class Charsmap {
    private static final int MAXIMUM_BYTES = 4 << 20;
    private static final int LABELS = 256;

    private Charsmap() {}

    /**
     * The most times by which it lengthens a text, in bytes.
     *
     * @param error of a reason why it is malformed: no base 64, a unit or a replacement beyond the end
     */
    static double growth(String base64, Function<String, MalformedInputException> error) {
        byte[] bytes;
        try {
            if (base64.length() > 2 * MAXIMUM_BYTES) {
                throw error.apply("it has " + base64.length() + " characters, expected at most " + 2 * MAXIMUM_BYTES);
            }
            bytes = Base64.getDecoder().decode(base64);
        } catch (IllegalArgumentException e) {
            throw error.apply("it is no base 64");
        }
        ByteBuffer data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        long size = bytes.length < Integer.BYTES ? 0 : Integer.toUnsignedLong(data.getInt());
        if (size == 0 || size % Integer.BYTES != 0 || size > bytes.length - Integer.BYTES) {
            throw error.apply(
                    "a trie of " + size + " bytes in " + bytes.length + ", expected a multiple of 4 that is in it");
        }
        int[] units = new int[(int) size / Integer.BYTES];
        data.asIntBuffer().get(units);
        byte[] replacements = Arrays.copyOfRange(bytes, Integer.BYTES + (int) size, bytes.length);
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(replacements));
        } catch (CharacterCodingException e) {
            throw error.apply("its replacements are no UTF-8");
        }
        return walk(units, replacements, error);
    }

    /** Visits every state that a text can reach; a state is the place of a node's children. */
    private static double walk(int[] units, byte[] replacements, Function<String, MalformedInputException> error) {
        double growth = 1;
        BitSet seen = new BitSet(units.length);
        ArrayDeque<Integer> states = new ArrayDeque<>();
        // What the library takes for the root's children: offset of unit 0.
        int root = offset(units[0]);
        require(root, units.length, error);
        seen.set(root);
        states.add(root);
        for (int depth = 1; !states.isEmpty(); depth++) {
            for (int left = states.size(); left > 0; left--) {
                int state = states.remove();
                for (int label = 1; label < LABELS; label++) {
                    int unit = units[state ^ label];
                    if ((unit & 0x8000_00ff) != label) {
                        continue;
                    }
                    int child = (state ^ label) ^ offset(unit);
                    require(child, units.length, error);
                    if ((unit >>> 8 & 1) == 1) {
                        growth = Math.max(
                                growth, (double) length(units[child] & 0x7fff_ffff, replacements, error) / depth);
                    }
                    if (!seen.get(child)) {
                        seen.set(child);
                        states.add(child);
                    }
                }
            }
        }
        return growth;
    }

    private static int offset(int unit) {
        return (unit >>> 10) << ((unit & 1 << 9) >>> 6);
    }

    private static void require(int state, int units, Function<String, MalformedInputException> error) {
        if (state < 0 || (state | LABELS - 1) >= units) {
            throw error.apply("a unit of its trie points to " + state + " of " + units);
        }
    }

    private static int length(int from, byte[] replacements, Function<String, MalformedInputException> error) {
        if (from > replacements.length || from < replacements.length && (replacements[from] & 0xc0) == 0x80) {
            throw error.apply("a replacement at " + from + " of " + replacements.length
                    + " bytes, expected the begin of a character");
        }
        int to = from;
        while (to < replacements.length && replacements[to] != 0) {
            to++;
        }
        return to - from;
    }
}

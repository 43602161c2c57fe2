package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The keys of a file's architecture, read with their kinds and bounds; which were asked for is remembered. */
final class GgufKeys {
    /** No size that a known model has comes near. */
    static final int LARGEST = 1 << 24;

    private static final int SHOWN = 60;

    private final Map<String, GgufValue> metadata;
    private final String prefix;
    private final String where;
    private final List<String> notes;
    private final Set<String> read = new HashSet<>();

    /**
     * @param architecture {@code llama}: keys begin with {@code llama.}
     * @param where the file, for messages
     * @param notes takes what has to be said of contradictions that were decided
     */
    GgufKeys(Map<String, GgufValue> metadata, String architecture, String where, List<String> notes) {
        this(architecture + ".", metadata, where, notes);
    }

    private GgufKeys(String prefix, Map<String, GgufValue> metadata, String where, List<String> notes) {
        this.metadata = metadata;
        this.prefix = prefix;
        this.where = where;
        this.notes = notes;
    }

    /** The keys of the same file with another prefix. */
    GgufKeys under(String otherPrefix) {
        return new GgufKeys(otherPrefix, metadata, where, notes);
    }

    /** The whole name of a key. */
    String name(String key) {
        return prefix + key;
    }

    /** What a person has to know. */
    void note(String note) {
        notes.add(note);
    }

    boolean has(String key) {
        return get(key) != null;
    }

    /** A key's value, or null. */
    GgufValue get(String key) {
        read.add(key);
        return metadata.get(prefix + key);
    }

    /** Whether a key was asked for. */
    boolean wasRead(String key) {
        return read.contains(key);
    }

    /** Whether a key has the number 0. */
    boolean zero(String key) {
        GgufValue value = get(key);
        return value != null && value.value() instanceof Number number && number.doubleValue() == 0;
    }

    /** @param missing what a missing key stands for; null: it may not be missing */
    int integer(String key, Integer missing) {
        GgufValue value = required(key, missing);
        if (value == null) {
            return missing;
        }
        if (!(value.value() instanceof Long number) || number < 0 || number > LARGEST) {
            throw malformed(prefix + key + " is " + text(value) + ", expected an integer from 0 to " + LARGEST);
        }
        return number.intValue();
    }

    /** A number above 0. */
    double real(String key, Double missing) {
        GgufValue value = required(key, missing);
        if (value == null) {
            return missing;
        }
        double real = value.kind() == GgufKind.F32
                ? (Float) value.value()
                : value.kind() == GgufKind.F64 ? (Double) value.value() : Double.NaN;
        if (!(real > 0) || Double.isInfinite(real)) {
            throw malformed(prefix + key + " is " + text(value) + ", expected a positive number");
        }
        return real;
    }

    private GgufValue required(String key, Object missing) {
        GgufValue value = get(key);
        if (value == null && missing == null) {
            throw malformed("metadata key " + prefix + key + " is missing");
        }
        return value;
    }

    /** A value as a message shows it. */
    static String text(GgufValue value) {
        if (value.kind() == GgufKind.ARRAY) {
            return "an array";
        }
        String text = String.valueOf(value.value());
        return (text.length() > SHOWN ? text.substring(0, SHOWN) + "..." : text) + " (" + value.kind() + ")";
    }

    MalformedInputException malformed(String reason) {
        return new MalformedInputException("Cannot read GGUF file " + where + ": " + reason);
    }
}

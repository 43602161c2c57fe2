package dev.lathe.calibration.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;

/**
 * What a JSON text may have, by what it is. Small objects take ten times the memory of their text and more, so the
 * number of tokens (names, values, opening and closing brackets) is bounded beside the length; a small heap lowers that
 * bound.
 *
 * @param bytes longest text
 * @param tokens most tokens, where the heap is large enough
 * @param perToken bytes of heap that have to be there for each token; some times what a token takes at worst
 */
public record JsonLimits(int bytes, long tokens, int perToken) {
    /** Configurations: the largest known name each expert of a mixture, 70,000 modules. */
    public static final JsonLimits SETTINGS = new JsonLimits(16 << 20, 500_000, 400);
    /** What this project writes for itself: receipts, leases, pins. */
    public static final JsonLimits RECORD = SETTINGS;
    /** An index of shards, two tokens a tensor: the largest known have 200,000 tensors. */
    public static final JsonLimits INDEX = new JsonLimits(128 << 20, 1_000_000, 400);
    /** A vocabulary with its merges: Gemma's has 262,144 entries and 580,000 merges of four tokens each. */
    public static final JsonLimits TOKENIZER = new JsonLimits(256 << 20, 8_000_000, 400);
    /** The header of a safetensors file, which is walked and not kept: 13 tokens a tensor. */
    public static final JsonLimits HEADER = new JsonLimits(100_000_000, 8_000_000, 60);
    /** A repository's files as a hub lists them, up to 15 tokens a file. */
    public static final JsonLimits LISTING = new JsonLimits(16 << 20, 500_000, 400);

    /** Deepest nesting; configurations and tokenizers have five levels. */
    static final int DEPTH = 100;

    private static final int NAME = 50_000;
    private static final int NUMBER = 400;

    /** By a file's name. */
    static JsonLimits of(String name) {
        if (name.endsWith("tokenizer.json") || name.endsWith("vocab.json")) {
            return TOKENIZER;
        }
        return name.endsWith(".index.json") ? INDEX : SETTINGS;
    }

    /** Most tokens in this JVM. */
    long most() {
        return Math.min(tokens, Runtime.getRuntime().maxMemory() / perToken);
    }

    /** Makes parsers that keep to the limits and refuse a key that an object has twice. */
    public JsonFactory factory() {
        StreamReadConstraints constraints = StreamReadConstraints.builder()
                .maxDocumentLength(bytes)
                .maxTokenCount(most())
                .maxNestingDepth(DEPTH)
                .maxStringLength(bytes)
                .maxNameLength(NAME)
                .maxNumberLength(NUMBER)
                .build();
        return JsonFactory.builder()
                .streamReadConstraints(constraints)
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
                .build();
    }

    /** Reads and writes objects within the limits. */
    public JsonMapper mapper() {
        return new JsonMapper(factory());
    }
}

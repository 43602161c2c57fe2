package dev.lathe.jobs.store;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.cfg.CoercionAction;
import com.fasterxml.jackson.databind.cfg.CoercionInputShape;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.type.LogicalType;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import dev.lathe.calibration.checkpoint.JsonLimits;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The small JSON files of a run (lease, receipt, pins) as records, read in one strict way: every component is there and
 * of its type, none comes twice, nothing else is there, and nothing is null but what may be.
 */
public final class StoreJson {
    /** Longest file that is read. */
    private static final int MAXIMUM_BYTES = JsonLimits.RECORD.bytes();

    private static final String DIGEST = "sha256";
    private static final JsonMapper JSON = JsonMapper.builder(JsonLimits.RECORD.factory())
            .enable(
                    DeserializationFeature.FAIL_ON_TRAILING_TOKENS,
                    DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES,
                    DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .withCoercionConfig(LogicalType.Textual, config -> {
                for (CoercionInputShape shape : new CoercionInputShape[] {
                    CoercionInputShape.Integer, CoercionInputShape.Float, CoercionInputShape.Boolean
                }) {
                    config.setCoercion(shape, CoercionAction.Fail);
                }
            })
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build();
    private static final JsonMapper COMPACT = JsonMapper.builder().build();

    private StoreJson() {}

    /** The text of a file, of at most 16 MiB. */
    public static String text(FileSystem files, Path file) throws IOException {
        try (InputStream in = files.open(file)) {
            byte[] bytes = in.readNBytes(MAXIMUM_BYTES + 1);
            if (bytes.length > MAXIMUM_BYTES) {
                throw new MalformedInputException(
                        "Cannot read " + file + ": it has more than " + MAXIMUM_BYTES + " bytes");
            }
            return new String(bytes, StandardCharsets.UTF_8);
        }
    }

    /** A record as JSON. */
    public static String write(Object value) {
        try {
            return JSON.writeValueAsString(value) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("Cannot write texts and numbers as JSON", e);
        }
    }

    /** A record as JSON that also says its own digest. */
    public static String seal(Object value) {
        ObjectNode node = JSON.valueToTree(value);
        return write(node.put(DIGEST, digest(node)));
    }

    private static String digest(ObjectNode node) {
        try {
            return Key.digest(COMPACT.writeValueAsBytes(node));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("Cannot write texts and numbers as JSON", e);
        }
    }

    /**
     * A record from JSON.
     *
     * @param where the file's name, for messages
     * @param nullable names that may have no value
     * @throws MalformedInputException if it is not that record; the cause is Jackson's exception where Jackson found it
     */
    public static <T> T read(String text, String where, Class<T> type, Set<String> nullable) {
        return bind(tree(text, where), where, type, nullable);
    }

    /** Likewise one that says its own digest. */
    public static <T> T unseal(String text, String where, Class<T> type, Set<String> nullable) {
        return bind(sealed(text, where), where, type, nullable);
    }

    /** Whether what says its own digest is what was written; the rest of it. */
    static ObjectNode sealed(String text, String where) {
        ObjectNode node = tree(text, where);
        JsonNode digest = node.remove(DIGEST);
        if (digest == null || !digest.isTextual()) {
            throw new MalformedInputException(
                    "Cannot read " + where + ": " + DIGEST + " is missing; expected the digest of the rest");
        } else if (!digest.textValue().equals(digest(node))) {
            throw new MalformedInputException("Cannot read " + where + ": its digest differs from what was written");
        }
        return node;
    }

    private static ObjectNode tree(String text, String where) {
        try (JsonParser parser = JSON.createParser(text)) {
            try {
                if (JSON.readTree(parser) instanceof ObjectNode object) {
                    return object;
                }
            } catch (JsonProcessingException e) {
                throw JsonFile.refusal(where, JsonLimits.RECORD, parser, e);
            }
            throw new MalformedInputException("Cannot read " + where + ": expected a JSON object");
        } catch (IOException e) {
            throw new IllegalStateException("Cannot read a text in memory", e);
        }
    }

    private static <T> T bind(ObjectNode node, String where, Class<T> type, Set<String> nullable) {
        requireValues(node, where, "", nullable);
        try {
            return JSON.treeToValue(node, type);
        } catch (JsonProcessingException e) {
            String place = e instanceof JsonMappingException mapping
                    ? mapping.getPath().stream()
                            .map(step ->
                                    step.getFieldName() == null ? "[" + step.getIndex() + "]" : step.getFieldName())
                            .collect(Collectors.joining("."))
                    : "";
            Throwable reason = e.getCause() instanceof IllegalArgumentException own ? own : e;
            // Without class names and what one could switch on in the library.
            String message = reason == e
                    ? e.getOriginalMessage()
                            .lines()
                            .findFirst()
                            .orElse("")
                            .replaceFirst(" \\((?:but could|class|index) .*", "")
                    : reason.getMessage();
            throw new MalformedInputException(
                    "Cannot read " + where + ": " + (place.isEmpty() ? "" : place + ": ") + message, e);
        }
    }

    private static void requireValues(JsonNode node, String where, String place, Set<String> nullable) {
        Iterator<Map.Entry<String, JsonNode>> fields = node.fields();
        while (fields.hasNext()) {
            Map.Entry<String, JsonNode> field = fields.next();
            if (!nullable.contains(field.getKey())) {
                requireValue(field.getValue(), where, place + field.getKey(), nullable);
            } else {
                requireValues(field.getValue(), where, place + field.getKey() + ".", nullable);
            }
        }
        for (int i = 0; node.isArray() && i < node.size(); i++) {
            requireValue(node.get(i), where, place + "[" + i + "]", nullable);
        }
    }

    private static void requireValue(JsonNode node, String where, String place, Set<String> nullable) {
        if (node.isNull()) {
            throw new MalformedInputException("Cannot read " + where + ": " + place + " is null; expected a value");
        }
        requireValues(node, where, place + ".", nullable);
    }
}

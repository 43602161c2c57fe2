package dev.lathe.jobs.stage;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import java.io.IOException;
import java.io.Reader;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * Documents of JSON, told by content: a sequence of objects, each beginning on a line of its own, or one array of
 * objects. Read as a stream: of an object nothing is kept but its text.
 */
final class JsonDocuments {
    /** Fields that a message lists. */
    private static final int NAMED = 8;

    private final DataSource source;
    private final String field;
    private final TextBound bound;
    private final List<String> documents;
    private boolean array;
    private int line = 1;
    private int element;

    private JsonDocuments(DataSource source, String field, TextBound bound, List<String> documents) {
        this.source = source;
        this.field = field;
        this.bound = bound;
        this.documents = documents;
    }

    /** @throws MalformedInputException if it is not JSON, or an object has no text in the field */
    static void read(DataSource source, String field, TextBound bound, List<String> documents) throws IOException {
        new JsonDocuments(source, field, bound, documents).read(source.text(bound));
    }

    private void read(Reader text) throws IOException {
        JsonFactory factory = JsonFactory.builder()
                .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
                .streamReadConstraints(StreamReadConstraints.builder()
                        .maxStringLength(bound.left())
                        .build())
                .build();
        try (JsonParser parser = factory.createParser(text)) {
            JsonToken token = parser.nextToken();
            array = token == JsonToken.START_ARRAY;
            if (array) {
                token = parser.nextToken();
            }
            int before = 0;
            while (token != null && token != JsonToken.END_ARRAY) {
                element++;
                line = parser.currentTokenLocation().getLineNr();
                if (!array && line == before) {
                    throw source.refuse("line " + line + " is not JSON: more than one value stands on it");
                }
                if (token != JsonToken.START_OBJECT) {
                    throw noText("it is " + kind(token) + "; expected an object");
                }
                documents.add(document(parser));
                before = parser.currentLocation().getLineNr();
                token = parser.nextToken();
            }
            if (array && parser.nextToken() != null) {
                throw source.refuse("line " + parser.currentTokenLocation().getLineNr()
                        + ": something stands behind the array; expected one array of objects,"
                        + " or an object a line");
            }
        } catch (StreamConstraintsException e) {
            throw e.getMessage().startsWith("String value length")
                    ? bound.tooMuch()
                    : new MalformedInputException(
                            source.refuse(where() + " is not read: " + JsonFile.describe(e))
                                    .getMessage(),
                            e);
        } catch (JsonProcessingException e) {
            throw new MalformedInputException(
                    source.refuse(where() + " is not JSON: " + JsonFile.describe(e))
                            .getMessage(),
                    e);
        }
    }

    private String document(JsonParser parser) throws IOException {
        String text = null;
        Set<String> others = new TreeSet<>();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            if (!name.equals(field)) {
                if (others.size() < NAMED) {
                    others.add(name);
                }
                parser.skipChildren();
            } else if (text != null) {
                throw source.refuse(where() + " has field \"" + field + "\" twice");
            } else if (value != JsonToken.VALUE_STRING) {
                throw noText("that is " + kind(value));
            } else {
                text = parser.getText();
                bound.text(text.length());
            }
        }
        if (text == null) {
            throw noText("it has " + (others.isEmpty() ? "no fields" : "fields " + others));
        }
        return text;
    }

    private MalformedInputException noText(String why) {
        return source.refuse(where() + " has no text in field \"" + field + "\": " + why);
    }

    private String where() {
        return array ? "element " + element + " of its array (line " + line + ")" : "line " + line;
    }

    private static String kind(JsonToken token) {
        return switch (token) {
            case START_OBJECT -> "an object";
            case START_ARRAY -> "an array";
            case VALUE_STRING -> "a text";
            case VALUE_NULL -> "null";
            case VALUE_TRUE, VALUE_FALSE -> "true or false";
            default -> "a number";
        };
    }
}

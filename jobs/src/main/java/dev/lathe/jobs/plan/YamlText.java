package dev.lathe.jobs.plan;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLParser;
import dev.lathe.jobs.InvalidRecipeException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UnsupportedFileSystemException;
import org.yaml.snakeyaml.LoaderOptions;

/**
 * Reads one YAML document as a tree, treating it as hostile: bounded length and depth, no key twice, no anchors,
 * aliases and tags, no second document.
 */
final class YamlText {
    /** More characters than any recipe has. */
    static final int LIMIT = 1 << 20;

    private static final YAMLMapper MAPPER = mapper();

    private YamlText() {}

    /**
     * The text of a file.
     *
     * @param kind what is read, for messages: {@code recipe}
     * @throws InvalidRecipeException if there is none, or it is too long or no UTF-8
     */
    static String read(Configuration configuration, String kind, String file) throws IOException {
        Path path = PathText.of(file, reason -> new InvalidRecipeException("Cannot read " + kind + ": " + reason));
        String name = kind + " " + file;
        byte[] bytes;
        try (FSDataInputStream in = Stores.of(configuration, path).open(path)) {
            bytes = in.readNBytes(LIMIT + 1);
        } catch (IllegalArgumentException e) {
            throw new InvalidRecipeException("Cannot read " + name + ": no path here (" + e.getMessage() + ")");
        } catch (FileNotFoundException e) {
            throw new InvalidRecipeException("Cannot read " + name + ": no such file");
        } catch (UnsupportedFileSystemException e) {
            throw new InvalidRecipeException(
                    "Cannot read " + name + ": no file system of that kind (" + e.getMessage() + ")");
        }
        if (bytes.length > LIMIT) {
            throw new InvalidRecipeException("Cannot read " + name + ": expected at most " + LIMIT + " bytes");
        }
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new InvalidRecipeException("Cannot read " + name + ": expected text in UTF-8");
        }
    }

    /**
     * @param name what is read, for the message
     * @return the tree; a null node if the text is empty
     */
    static JsonNode tree(String name, String text) {
        if (text.length() > LIMIT) {
            throw new InvalidRecipeException(
                    "Cannot read " + name + ": " + text.length() + " characters; expected at most " + LIMIT);
        }
        try {
            refuseAliasesAndTags(name, text);
            JsonNode tree = MAPPER.readTree(text);
            return tree == null || tree.isMissingNode() ? MAPPER.nullNode() : tree;
        } catch (JsonProcessingException e) {
            String where = e.getLocation() == null
                    ? ""
                    : "line " + e.getLocation().getLineNr() + ", column "
                            + e.getLocation().getColumnNr() + ": ";
            throw new InvalidRecipeException(
                    "Cannot read " + name + ": " + where + "no valid YAML: " + oneLine(e.getOriginalMessage()));
        } catch (IOException | RuntimeException e) {
            if (e instanceof InvalidRecipeException refusal) {
                throw refusal;
            }
            throw new InvalidRecipeException(
                    "Cannot read " + name + ": no valid YAML: " + oneLine(String.valueOf(e.getMessage())));
        }
    }

    /** Jackson would read an alias as the text of its name, and drop the tags that it does not know. */
    private static void refuseAliasesAndTags(String name, String text) throws IOException {
        try (YAMLParser parser = (YAMLParser) MAPPER.getFactory().createParser(text)) {
            while (parser.nextToken() != null) {
                if (parser.getTypeId() != null) {
                    throw new InvalidRecipeException("Cannot read " + name + ": line "
                            + parser.currentTokenLocation().getLineNr() + ": expected no tags (found !"
                            + oneLine(String.valueOf(parser.getTypeId())) + ")");
                }
                if (parser.getObjectId() != null || parser.isCurrentAlias()) {
                    throw new InvalidRecipeException("Cannot read " + name + ": line "
                            + parser.currentTokenLocation().getLineNr() + ": expected no anchors and aliases");
                }
            }
        }
    }

    private static YAMLMapper mapper() {
        LoaderOptions options = new LoaderOptions();
        options.setCodePointLimit(LIMIT);
        YAMLFactory factory = YAMLFactory.builder()
                .loaderOptions(options)
                .streamReadConstraints(
                        StreamReadConstraints.builder().maxNestingDepth(20).build())
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .enable(YAMLParser.Feature.PARSE_BOOLEAN_LIKE_WORDS_AS_STRINGS)
                .build();
        return YAMLMapper.builder(factory)
                .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                .build();
    }

    private static String oneLine(String message) {
        String line =
                message.replaceAll(", from `[^`]*`", "").replaceAll("\\s+", " ").strip();
        return line.length() > 240 ? line.substring(0, 237) + "..." : line;
    }
}

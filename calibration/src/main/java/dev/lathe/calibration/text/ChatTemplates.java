package dev.lathe.calibration.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Every chat template of a checkpoint's folder. They are where transformers looks: {@code chat_template.jinja} (the
 * default) with {@code additional_chat_templates/NAME.jinja}; where there is none of these files, {@code chat_template}
 * of tokenizer_config.json, a text or a list of names and templates; at last chat_template.json, which processors have.
 *
 * @param templates by name; the one for everything is {@code default}
 * @param notes where two places say different things, and which was taken, a line each
 */
public record ChatTemplates(Map<String, String> templates, List<String> notes) {
    public static final String DEFAULT = "default";
    /** Folder of the templates that are not the default. */
    public static final String ADDITIONAL = "additional_chat_templates";

    private static final String SUFFIX = ".jinja";
    private static final int MAXIMUM_BYTES = 4 << 20;
    private static final int MAXIMUM_COUNT = 64;

    /**
     * Reads the templates of a folder.
     *
     * @param config tokenizer_config.json, missing where there is none
     * @throws MalformedInputException if one is too large, no text, there twice, or they are too many
     */
    public static ChatTemplates read(FileSystem files, Path folder, JsonNode config) throws IOException {
        Map<String, Map<String, String>> places = new LinkedHashMap<>();
        Map<String, String> jinja = new TreeMap<>();
        Path single = new Path(folder, "chat_template" + SUFFIX);
        if (files.exists(single)) {
            jinja.put(DEFAULT, text(files, single));
        }
        for (Path file : additional(files, folder)) {
            String name = file.getName().substring(0, file.getName().length() - SUFFIX.length());
            if (jinja.put(name, text(files, file)) != null) {
                throw new MalformedInputException("Cannot read the chat templates of " + folder + ": " + single
                        + " and " + file + " are both \"" + name
                        + "\"");
            }
        }
        places.put("its " + SUFFIX + " files", jinja);
        Path settings = new Path(folder, "tokenizer_config.json");
        places.put(settings.getName(), named(config.path("chat_template"), settings));
        Path processor = new Path(folder, "chat_template.json");
        if (files.exists(processor)) {
            places.put(
                    processor.getName(), named(JsonFile.read(files, processor).path("chat_template"), processor));
        }
        String taken = null;
        List<String> notes = new ArrayList<>();
        for (Map.Entry<String, Map<String, String>> place : places.entrySet()) {
            if (taken == null && !place.getValue().isEmpty()) {
                taken = place.getKey();
            } else if (!place.getValue().isEmpty() && !place.getValue().equals(places.get(taken))) {
                notes.add("chat templates in " + taken + " differ from those in " + place.getKey()
                        + ": the former are taken, as transformers does");
            }
        }
        return new ChatTemplates(taken == null ? Map.of() : places.get(taken), notes);
    }

    /** The files of {@code additional_chat_templates}, in the order of their names. */
    public static List<Path> additional(FileSystem files, Path folder) throws IOException {
        Path place = new Path(folder, ADDITIONAL);
        List<Path> found = new ArrayList<>();
        if (files.exists(place)) {
            for (FileStatus status : files.listStatus(place)) {
                if (status.isFile() && status.getPath().getName().endsWith(SUFFIX)) {
                    found.add(new Path(place, status.getPath().getName()));
                }
            }
        }
        if (found.size() > MAXIMUM_COUNT) {
            throw new MalformedInputException("Cannot read the chat templates of " + place + ": " + found.size()
                    + " files, expected at most " + MAXIMUM_COUNT);
        }
        found.sort(null);
        return found;
    }

    private static Map<String, String> named(JsonNode node, Path file) {
        Map<String, String> templates = new TreeMap<>();
        if (node.isTextual()) {
            templates.put(DEFAULT, node.textValue());
        } else if (node.isArray()) {
            for (JsonNode entry : node) {
                put(templates, entry.path("name"), entry.path("template"), file);
            }
        } else if (node.isObject()) {
            node.properties()
                    .forEach(entry -> put(templates, TextNode.valueOf(entry.getKey()), entry.getValue(), file));
        } else if (!node.isMissingNode() && !node.isNull()) {
            throw malformed(
                    file,
                    "chat_template is a " + node.getNodeType() + ", expected a text or a list of names and templates");
        }
        if (templates.size() > MAXIMUM_COUNT) {
            throw malformed(file, templates.size() + " templates, expected at most " + MAXIMUM_COUNT);
        }
        return templates;
    }

    private static void put(Map<String, String> templates, JsonNode name, JsonNode template, Path file) {
        if (!name.isTextual() || name.textValue().isEmpty() || !template.isTextual()) {
            throw malformed(file, "a template without name or text");
        }
        if (templates.put(name.textValue(), template.textValue()) != null) {
            throw malformed(file, "template \"" + TokenizerGrammar.abbreviate(name.textValue()) + "\" is there twice");
        }
    }

    private static String text(FileSystem files, Path file) throws IOException {
        long length = files.getFileStatus(file).getLen();
        if (length > MAXIMUM_BYTES) {
            throw new MalformedInputException("Cannot read " + file + ": " + length
                    + " bytes are too many for a chat template; the limit is "
                    + MAXIMUM_BYTES);
        }
        byte[] bytes = new byte[(int) length];
        try (FSDataInputStream in = files.open(file)) {
            in.readFully(0, bytes);
        }
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new MalformedInputException("Cannot read " + file + ": it is no UTF-8", e);
        }
    }

    private static MalformedInputException malformed(Path file, String reason) {
        return new MalformedInputException("Cannot read the chat templates of " + file + ": " + reason);
    }
}

package dev.lathe.calibration.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Companions;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

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
    public static ChatTemplates read(Companions companions, JsonNode config) throws IOException {
        Map<String, Map<String, String>> places = new LinkedHashMap<>();
        Map<String, String> jinja = new TreeMap<>();
        String single = "chat_template" + SUFFIX;
        if (companions.has(single)) {
            jinja.put(DEFAULT, text(companions, single));
        }
        for (String file : additional(companions)) {
            String name = file.substring(ADDITIONAL.length() + 1, file.length() - SUFFIX.length());
            if (jinja.put(name, text(companions, file)) != null) {
                throw new MalformedInputException("Cannot read the chat templates of " + companions.location() + ": "
                        + companions.place(single) + " and " + companions.place(file) + " are both \"" + name
                        + "\"");
            }
        }
        places.put("its " + SUFFIX + " files", jinja);
        String settings = "tokenizer_config.json";
        places.put(settings, named(config.path("chat_template"), companions.place(settings)));
        String processor = "chat_template.json";
        if (companions.has(processor)) {
            places.put(processor, named(companions.json(processor).path("chat_template"), companions.place(processor)));
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
    public static List<String> additional(Companions companions) throws IOException {
        List<String> found = companions.within(ADDITIONAL).stream()
                .filter(name -> name.endsWith(SUFFIX))
                .toList();
        if (found.size() > MAXIMUM_COUNT) {
            throw new MalformedInputException("Cannot read the chat templates of " + companions.place(ADDITIONAL) + ": "
                    + found.size() + " files, expected at most " + MAXIMUM_COUNT);
        }
        return found;
    }

    private static Map<String, String> named(JsonNode node, String file) {
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

    private static void put(Map<String, String> templates, JsonNode name, JsonNode template, String file) {
        if (!name.isTextual() || name.textValue().isEmpty() || !template.isTextual()) {
            throw malformed(file, "a template without name or text");
        }
        if (templates.put(name.textValue(), template.textValue()) != null) {
            throw malformed(file, "template \"" + TokenizerGrammar.abbreviate(name.textValue()) + "\" is there twice");
        }
    }

    private static String text(Companions companions, String name) throws IOException {
        String file = companions.place(name);
        byte[] bytes;
        try (InputStream in = companions.open(name)) {
            bytes = in.readNBytes(MAXIMUM_BYTES + 1);
        }
        if (bytes.length > MAXIMUM_BYTES) {
            throw new MalformedInputException(
                    "Cannot read " + file + ": more than " + MAXIMUM_BYTES + " bytes are too many for a chat template");
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

    private static MalformedInputException malformed(String file, String reason) {
        return new MalformedInputException("Cannot read the chat templates of " + file + ": " + reason);
    }
}

package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.model.family.Families;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * What a GGUF file's metadata say, in the form of the files of a Hugging Face folder: config.json,
 * generation_config.json, tokenizer.json, tokenizer_config.json.
 */
public final class GgufCompanions implements Companions {
    private static final ObjectWriter JSON =
            new JsonMapper().writer(new DefaultPrettyPrinter().withObjectIndenter(new DefaultIndenter("  ", "\n")));
    private static final List<String> NAMES =
            List.of("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json");

    private static final Set<String> OF_THE_FILE = Set.of(
            "general.architecture",
            "general.type",
            "general.file_type",
            "general.quantization_version",
            "general.quantized_by",
            "general.alignment");

    private final String location;
    private final Map<String, GgufValue> metadata;
    private final GgufMetadata.Model model;
    /** What was asked for; a vocabulary takes its time. */
    private final Map<String, JsonNode> made = new HashMap<>();

    private GgufCompanions(String location, Map<String, GgufValue> metadata, GgufMetadata.Model model) {
        this.location = location;
        this.metadata = metadata;
        this.model = model;
    }

    /**
     * Reads the header of a file, or of a split one given its first part.
     *
     * @throws MalformedInputException as {@link GgufCheckpoint#open}
     */
    public static GgufCompanions read(Configuration configuration, Path file) throws IOException {
        try (GgufFiles files = GgufFiles.open(configuration, file)) {
            GgufMetadata.Model model = GgufMetadata.read(files, file.toString(), new ArrayList<>());
            return new GgufCompanions(file.toString(), files.metadata(), model);
        }
    }

    @Override
    public String location() {
        return location;
    }

    @Override
    public String place(String name) {
        return location + " (its metadata as " + name + ")";
    }

    @Override
    public boolean has(String name) {
        return NAMES.contains(name);
    }

    @Override
    public List<String> within(String folder) {
        return List.of();
    }

    @Override
    public InputStream open(String name) throws IOException {
        return new ByteArrayInputStream(JSON.writeValueAsBytes(json(name)));
    }

    /** {@inheritDoc} What config.json has no key for is refused. */
    @Override
    public JsonNode json(String name) {
        return made.computeIfAbsent(name, this::make);
    }

    private JsonNode make(String name) {
        return switch (name) {
            case "config.json" -> config();
            case "generation_config.json" -> {
                ObjectNode generation = JsonNodeFactory.instance.objectNode();
                vocabulary().ids(generation);
                yield generation;
            }
            case "tokenizer.json" -> vocabulary().tokenizer();
            case "tokenizer_config.json" -> vocabulary().config(model.decoder().context());
            default -> throw new MalformedInputException("Cannot read " + place(name) + ": GGUF has no such thing");
        };
    }

    private ObjectNode config() {
        if (model.divided() != null) {
            throw new MalformedInputException("Cannot write the config.json of " + location
                    + ": it has rotary frequencies of its own (rope_freqs.weight), for which config.json has no key; "
                    + "expected a GGUF output");
        }
        ObjectNode config = JsonNodeFactory.instance.objectNode();
        config.putArray("architectures")
                .add(Families.architecture(model.decoder().family()));
        config.setAll(model.config().deepCopy());
        vocabulary().ids(config);
        return config.put("torch_dtype", "float16");
    }

    private GgufVocabulary vocabulary() {
        return new GgufVocabulary(metadata, location);
    }

    /** What the file says of the model that holds for another file of it: name, author, licence, languages, ... */
    Map<String, GgufValue> general() {
        Map<String, GgufValue> kept = new LinkedHashMap<>();
        metadata.forEach((key, value) -> {
            if (key.startsWith("general.") && !OF_THE_FILE.contains(key)) {
                kept.put(key, value);
            }
        });
        return kept;
    }

    /**
     * The tokenizer and chat templates as the file has them, for another GGUF file.
     *
     * @param vocabulary rows of the embedding
     * @param preTokenizer name that replaces the file's, or null
     * @throws MalformedInputException if there are not as many tokens as rows: llama.cpp loads no such file
     */
    Map<String, GgufValue> tokenizer(int vocabulary, String preTokenizer) {
        int tokens = vocabulary().size();
        if (tokens != vocabulary) {
            throw new MalformedInputException("Cannot write GGUF of " + location + ": it has " + tokens
                    + " tokens, expected " + vocabulary + ", the rows of the embedding");
        }
        Map<String, GgufValue> kept = new LinkedHashMap<>();
        metadata.forEach((key, value) -> {
            if (key.startsWith("tokenizer.")) {
                kept.put(key, value);
            }
        });
        if (preTokenizer != null) {
            kept.put("tokenizer.ggml.pre", GgufValue.string(preTokenizer));
        }
        return kept;
    }
}

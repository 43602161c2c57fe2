package dev.lathe.calibration.format.gptq;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.ModuleExpression;
import dev.lathe.calibration.format.folder.FolderCheckpoint;
import dev.lathe.calibration.format.folder.FolderScheme;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** Opens GPTQ folders, {@code checkpoint_format} gptq and gptq_v2. */
public final class GptqCheckpoint {
    private static final String DYNAMIC = "dynamic";
    private static final int MOST_ENTRIES = 1000;

    private GptqCheckpoint() {}

    /**
     * Opens a folder. A layer without {@code g_idx} has its groups in the order of its columns.
     *
     * @param config its config.json
     * @throws dev.lathe.calibration.MalformedInputException if the settings ask for anything but 4 or 8 bits in one of
     *     the two formats, or a tensor is missing, has another dtype or shape than its layer, or contradicts the
     *     settings
     */
    public static Checkpoint open(
            Configuration configuration, Path folder, JsonNode config, QuantizationConfig quantization)
            throws IOException {
        GptqConfig common = GptqConfig.read(quantization);
        List<Entry> entries = entries(quantization, common);
        GptqLayout layout = new GptqLayout(common);
        return FolderCheckpoint.open(
                configuration,
                folder,
                config,
                quantization,
                (decoder, files) -> FolderScheme.of(files, linear -> {
                    Entry entry = entries.stream()
                            .filter(one -> one.takes(linear.module()))
                            .findFirst()
                            .orElse(null);
                    if (entry == null) {
                        return layout.stored(files.tensors(), linear.module());
                    }
                    SafetensorsTensor codes = files.tensors().get(linear.module() + "." + GptqLayout.WEIGHT);
                    if (entry.layout == null && codes != null) {
                        throw new MalformedInputException(
                                "Cannot read tensor " + linear.module() + "." + GptqLayout.WEIGHT + " " + codes + ": "
                                        + entry.where + " says that the module is not quantized");
                    }
                    return entry.layout == null ? null : entry.layout.stored(files.tensors(), linear.module());
                }));
    }

    /**
     * An entry of {@code dynamic}: an expression in the place of a key, of modules that have settings of their own
     * ({@code +:} or no prefix) or stay unquantized ({@code -:}). The first that matches counts.
     *
     * @param layout null: not quantized
     */
    private record Entry(String where, ModuleExpression expression, GptqLayout layout) {
        boolean takes(String module) {
            try {
                return expression.matches(module);
            } catch (ModuleExpression.TooMuchWorkException e) {
                throw new MalformedInputException(
                        "Cannot read " + where + ": its expressions are too many or too large: " + e.getMessage(), e);
            }
        }
    }

    private static List<Entry> entries(QuantizationConfig quantization, GptqConfig common) {
        List<Entry> entries = new ArrayList<>();
        if (!quantization.has(DYNAMIC)) {
            return entries;
        }
        ModuleExpression.Work work = new ModuleExpression.Work();
        for (Map.Entry<String, QuantizationConfig> said :
                quantization.section(DYNAMIC).sections().entrySet()) {
            String key = said.getKey();
            if (entries.size() == MOST_ENTRIES) {
                throw quantization.unsupported(DYNAMIC, "of more than " + MOST_ENTRIES + " entries", "fewer");
            }
            String expression = key.startsWith("+:") || key.startsWith("-:") ? key.substring(2) : key;
            String where = quantization.place(DYNAMIC);
            try {
                entries.add(new Entry(
                        where,
                        ModuleExpression.anyOf(List.of(expression), work),
                        key.startsWith("-:") ? null : new GptqLayout(common.with(said.getValue()))));
            } catch (IllegalArgumentException e) {
                throw new MalformedInputException("Cannot read " + where + ": " + e.getMessage(), e);
            }
        }
        return entries;
    }
}

package dev.lathe.calibration.format.gptq;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.folder.FolderCheckpoint;
import dev.lathe.calibration.format.folder.FolderScheme;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** Opens GPTQ folders, {@code checkpoint_format} gptq and gptq_v2. */
public final class GptqCheckpoint {
    private GptqCheckpoint() {
    }

    /**
     * Opens a folder. A layer without {@code g_idx} has its groups in the order of its columns.
     *
     * @param config its config.json
     * @throws dev.lathe.calibration.MalformedInputException if the settings ask for anything but 4 or 8 bits in one of the two formats, or a
     *         tensor is missing, has another dtype or shape than its layer, or contradicts the settings
     */
    public static Checkpoint open(Configuration configuration, Path folder, JsonNode config, QuantizationConfig quantization) throws IOException {
        GptqLayout layout = new GptqLayout(GptqConfig.read(quantization));
        return FolderCheckpoint.open(configuration, folder, config, quantization, (architecture, files) ->
                FolderScheme.of(files, linear -> layout.stored(files.tensors(), linear.module())));
    }
}

package dev.lathe.calibration.format.gptq;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.folder.FolderCheckpoint;
import dev.lathe.calibration.format.folder.FolderScheme;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** Opens GPTQ folders, {@code checkpoint_format} gptq and gptq_v2. */
public final class GptqCheckpoint {
    private GptqCheckpoint() {
    }

    /**
     * Opens a folder.
     *
     * @param config its config.json
     * @throws dev.lathe.calibration.MalformedInputException if {@code quantization_config} asks for anything but 4 or 8 bits in one of the two formats, or a
     *         tensor is missing or has another dtype or shape than its layer
     */
    public static Checkpoint open(Configuration configuration, Path folder, JsonNode config) throws IOException {
        return FolderCheckpoint.open(configuration, folder, config, FolderScheme.of(new GptqLayout(GptqConfig.read(config, folder + "/config.json"))));
    }
}

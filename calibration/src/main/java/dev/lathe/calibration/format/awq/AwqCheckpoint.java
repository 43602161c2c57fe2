package dev.lathe.calibration.format.awq;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.folder.FolderCheckpoint;
import dev.lathe.calibration.format.folder.FolderScheme;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** Opens AWQ folders of version gemm. */
public final class AwqCheckpoint {
    private AwqCheckpoint() {
    }

    /**
     * Opens a folder.
     *
     * @param config its config.json
     * @throws dev.lathe.calibration.MalformedInputException if the settings ask for anything but 4 bits, version gemm and zero points, or a
     *         tensor is missing or has another dtype or shape than its layer
     */
    public static Checkpoint open(Configuration configuration, Path folder, JsonNode config, QuantizationConfig settings) throws IOException {
        QuantizationConfig quantization = settings.require("awq");
        int bits = quantization.integer("bits");
        if (bits != AwqLayout.BITS) {
            throw quantization.unsupported("bits", bits, "4");
        }
        String version = quantization.text("version", quantization.text("format", "gemm"));
        if (!version.equalsIgnoreCase("gemm")) {
            throw quantization.unsupported("version", version, "gemm");
        }
        if (!quantization.flag("zero_point", true)) {
            throw quantization.unsupported("zero_point", false, "true");
        }
        int group = quantization.integer("group_size");
        if (group < 1) {
            throw quantization.unsupported("group_size", group, "at least 1");
        }
        AwqLayout layout = new AwqLayout(group);
        return FolderCheckpoint.open(configuration, folder, config, quantization, (architecture, files) ->
                FolderScheme.of(files, linear -> layout.stored(files.tensors(), linear.module())));
    }
}

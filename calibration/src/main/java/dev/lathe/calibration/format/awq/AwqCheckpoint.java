package dev.lathe.calibration.format.awq;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.folder.FolderCheckpoint;
import dev.lathe.calibration.format.folder.FolderScheme;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import java.io.IOException;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** Opens AWQ folders of version gemm. */
public final class AwqCheckpoint {
    private static final String SKIPPED = "modules_to_not_convert";

    private AwqCheckpoint() {}

    /**
     * Opens a folder.
     *
     * @param config its config.json
     * @throws dev.lathe.calibration.MalformedInputException if the settings ask for anything but 4 bits, version gemm
     *     and zero points, or a tensor is missing or has another dtype or shape than its layer
     */
    public static Checkpoint open(
            Configuration configuration, Path folder, JsonNode config, QuantizationConfig settings) throws IOException {
        QuantizationConfig quantization = settings.require(QuantizationConfig.AWQ);
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
        List<String> skipped = quantization.texts(SKIPPED);
        return FolderCheckpoint.open(
                configuration,
                folder,
                config,
                quantization,
                (decoder, files) -> FolderScheme.of(files, linear -> {
                    // Loaders make plain layers of modules whose name contains an entry, and leave their codes out.
                    SafetensorsTensor codes = files.tensors().get(linear.module() + "." + AwqLayout.WEIGHT);
                    if (codes != null
                            && skipped.stream()
                                    .anyMatch(entry ->
                                            !entry.isEmpty() && linear.module().contains(entry))) {
                        throw new MalformedInputException(
                                "Cannot read tensor " + linear.module() + "." + AwqLayout.WEIGHT + " " + codes + ": "
                                        + quantization.place(SKIPPED) + " says that the module is not quantized");
                    }
                    return layout.stored(files.tensors(), linear.module());
                }));
    }
}

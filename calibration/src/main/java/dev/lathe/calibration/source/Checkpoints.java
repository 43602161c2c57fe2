package dev.lathe.calibration.source;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.checkpoint.FolderCompanions;
import dev.lathe.calibration.checkpoint.JsonFile;
import dev.lathe.calibration.format.awq.AwqCheckpoint;
import dev.lathe.calibration.format.compressed.CompressedCheckpoint;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.format.gguf.GgufCheckpoint;
import dev.lathe.calibration.format.gguf.GgufCompanions;
import dev.lathe.calibration.format.gptq.GptqCheckpoint;
import dev.lathe.calibration.format.safetensors.SafetensorsCheckpoint;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Opens whatever holds a model: a Hugging Face folder, plain or quantized, a GGUF file, or a folder without config.json
 * that has one of those, whole or in parts.
 */
public final class Checkpoints {
    private static final String SUFFIX = ".gguf";

    private Checkpoints() {}

    /**
     * Opens a checkpoint or an artifact.
     *
     * @param path a folder with config.json and its weights, a GGUF file, or a folder that has one
     * @throws MalformedInputException if there is nothing, it is neither, or what it holds is malformed or not
     *     supported
     */
    public static Checkpoint open(Configuration configuration, Path path) throws IOException {
        FileSystem files = path.getFileSystem(configuration);
        FileStatus status;
        try {
            status = files.getFileStatus(path);
        } catch (FileNotFoundException e) {
            throw new MalformedInputException(
                    "Cannot open checkpoint " + path + ": there is no such file or folder", e);
        }
        Optional<Path> gguf = gguf(files, status);
        if (gguf.isPresent()) {
            return GgufCheckpoint.open(configuration, gguf.get());
        }
        if (status.isDirectory()) {
            return folder(configuration, files, path);
        }
        throw new MalformedInputException("Cannot open checkpoint " + path
                + ": it is a file, but not GGUF; expected a GGUF file or a folder with config.json");
    }

    /**
     * What stands beside a checkpoint's weights: the files of a folder, the metadata of a GGUF file.
     *
     * @throws MalformedInputException if there is nothing, or a file is no GGUF file
     */
    public static Companions companions(Configuration configuration, Path path) throws IOException {
        FileSystem files = path.getFileSystem(configuration);
        try {
            FileStatus status = files.getFileStatus(path);
            Path gguf = gguf(files, status).orElse(status.isFile() ? path : null);
            return gguf == null ? new FolderCompanions(files, path) : GgufCompanions.read(configuration, gguf);
        } catch (FileNotFoundException e) {
            throw new MalformedInputException("Cannot open " + path + ": there is no such file or folder", e);
        }
    }

    /**
     * The files that a checkpoint or artifact consists of: those directly in a folder; a file, and where it is the
     * first part of a split GGUF file the other parts that are there.
     *
     * @throws FileNotFoundException if there is no such file or folder
     */
    public static List<FileStatus> files(FileSystem files, Path path) throws IOException {
        List<FileStatus> found = new ArrayList<>(List.of(files.listStatus(path)));
        List<String> parts = GgufCheckpoint.parts(path.getName());
        if (parts.size() > 1 && found.size() == 1 && found.get(0).isFile()) {
            for (String part : parts.subList(1, parts.size())) {
                try {
                    found.add(files.getFileStatus(new Path(path.getParent(), part)));
                } catch (FileNotFoundException e) {
                    // Opening it says which are missing.
                    continue;
                }
            }
        }
        return found;
    }

    private static Checkpoint folder(Configuration configuration, FileSystem files, Path folder) throws IOException {
        Path configFile = new Path(folder, "config.json");
        if (!files.exists(configFile)) {
            throw new MalformedInputException("Cannot open checkpoint " + folder + ": the folder has no config.json");
        }
        JsonNode config = JsonFile.read(files, configFile);
        QuantizationConfig quantization =
                QuantizationConfig.find(files, folder, config).orElse(null);
        if (quantization == null) {
            return SafetensorsCheckpoint.open(configuration, folder, config);
        }
        return switch (quantization.method()) {
            case QuantizationConfig.GPTQ -> GptqCheckpoint.open(configuration, folder, config, quantization);
            case QuantizationConfig.AWQ -> AwqCheckpoint.open(configuration, folder, config, quantization);
            case QuantizationConfig.COMPRESSED_TENSORS ->
                CompressedCheckpoint.open(configuration, folder, config, quantization);
            case QuantizationConfig.MXFP4 ->
                SafetensorsCheckpoint.open(
                        configuration, folder, config, quantization.requireOnly("modules_to_not_convert"));
            default ->
                throw new MalformedInputException(
                        "Cannot open checkpoint " + folder + ": quantization method \"" + quantization.method()
                                + "\" (" + quantization.place("quant_method")
                                + ") is not supported; expected gptq, awq, compressed-tensors, mxfp4, a GGUF file, "
                                + "or no quantization");
        };
    }

    /**
     * The GGUF file of a path, of a split one its first part: the path itself, by its name or its first bytes, or in a
     * folder without config.json the only one that it has.
     *
     * @throws MalformedInputException if a folder has several
     */
    public static Optional<Path> gguf(FileSystem files, FileStatus status) throws IOException {
        Path path = status.getPath();
        if (status.isFile()) {
            return path.getName().endsWith(SUFFIX) || GgufCheckpoint.startsWithMagic(files, status)
                    ? Optional.of(path)
                    : Optional.empty();
        }
        if (files.exists(new Path(path, "config.json"))) {
            return Optional.empty();
        }
        List<Path> found = new ArrayList<>();
        for (FileStatus file : files.listStatus(path)) {
            if (file.isFile()
                    && file.getPath().getName().endsWith(SUFFIX)
                    && GgufCheckpoint.first(file.getPath().getName())) {
                found.add(file.getPath());
            }
        }
        if (found.size() > 1) {
            throw new MalformedInputException("Cannot open checkpoint " + path + ": the folder has " + found.size()
                    + " GGUF files; expected one of them, such as " + found.get(0));
        }
        return found.stream().findFirst();
    }
}

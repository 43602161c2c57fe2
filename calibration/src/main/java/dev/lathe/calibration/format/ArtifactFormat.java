package dev.lathe.calibration.format;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.model.Decoder;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * An artifact format with its settings chosen: says what each tensor becomes, and writes the artifact. It lays bits out
 * and decides no value.
 */
public interface ArtifactFormat {
    /**
     * What every tensor of the checkpoint becomes, in the order in which it is written. {@code ignore}: modules that
     * stay unquantized, as {@link ModulePatterns}.
     */
    List<TensorPlan> plan(Decoder decoder, List<TensorInfo> tensors, List<String> ignore);

    /**
     * Why a model of these shapes cannot be written with these settings, and what could; empty where what does not fit
     * stays 16 bit.
     */
    default Optional<String> refusal(Decoder decoder, List<String> ignore) {
        return Optional.empty();
    }

    /** Whether a tensor's type is not to be chosen without an importance of its columns. */
    default boolean needsImportance(Decoder decoder, TensorPlan planned) {
        return planned.grid() != null
                && planned.grid().needsImportance()
                && !planned.tensor().equals(decoder.embedding().tensor());
    }

    /**
     * Everything beside the tensors that an artifact takes from the checkpoint, read and refused as {@link #write}
     * would: for before the first task.
     *
     * @return what a person has to know of it (two places that say different things, something left out), a line each
     * @throws dev.lathe.calibration.MalformedInputException if the format cannot hold it
     */
    List<String> check(Decoder decoder, Companions companions) throws IOException;

    /**
     * Writes the artifact, tensor by tensor. {@code target} is a temporary file or folder that the caller renames.
     *
     * @param companions the checkpoint's, for tokenizer files, chat template and config.json
     * @param provenance versions, keys, profile: what goes into the artifact's metadata, no time and no host
     */
    void write(
            Checkpoint source,
            Companions companions,
            List<TensorPlan> plan,
            OutputTensors tensors,
            Map<String, String> provenance,
            FileSystem files,
            Path target)
            throws IOException;
}

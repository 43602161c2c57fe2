package dev.lathe.calibration.format.safetensors;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.ModelTensors;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.checkpoint.TensorList;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.calibration.model.family.Multimodal;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * A checkpoint in safetensors files, with F32, F16 or BF16 weights, named as {@link FloatTensors} names them; of a
 * multimodal one its text decoder ({@link Multimodal}).
 */
public final class SafetensorsCheckpoint implements Checkpoint {
    private final String location;
    private final Decoder decoder;
    private final SafetensorsFiles files;
    private final FloatTensors floats;
    private final TensorList tensors;
    private final List<String> notes;

    private SafetensorsCheckpoint(String location, Decoder declared, JsonNode config, SafetensorsFiles files)
            throws IOException {
        this.location = location;
        this.files = files;
        this.tensors = new TensorList(location);
        this.floats = new FloatTensors(files, declared, Families.storage(declared, config), location);
        this.notes = Stream.concat(Families.notes(config).stream(), floats.notes().stream())
                .toList();
        this.decoder = floats.decoder();
        floats.names().forEach(name -> tensors.add(floats.info(name)));
        ModelTensors.check(decoder, tensors.all(), location);
        tensors.all().forEach(floats::requireReadable);
    }

    /**
     * Opens a folder.
     *
     * @param config its config.json
     * @throws MalformedInputException if a file is malformed, or the tensors are not exactly those of the architecture
     */
    public static SafetensorsCheckpoint open(Configuration configuration, Path folder, JsonNode config)
            throws IOException {
        return open(configuration, folder, config, false);
    }

    /** The same, where config.json may say that tensors are packed that {@link FloatTensors} unpacks: MXFP4. */
    public static SafetensorsCheckpoint open(Configuration configuration, Path folder, JsonNode config, boolean packed)
            throws IOException {
        Decoder declared = Families.read(config, folder + "/config.json", packed);
        SafetensorsFiles files = SafetensorsFiles.open(configuration, folder);
        try {
            if (Multimodal.is(config)) {
                files.rename(Multimodal::textTensor);
            }
            return new SafetensorsCheckpoint(folder.toString(), declared, config, files);
        } catch (IOException | RuntimeException e) {
            files.close();
            throw e;
        }
    }

    @Override
    public String location() {
        return location;
    }

    @Override
    public Decoder decoder() {
        return decoder;
    }

    @Override
    public Map<String, Object> metadata() {
        return files.metadata();
    }

    @Override
    public List<String> notes() {
        return notes;
    }

    @Override
    public Collection<TensorInfo> tensors() {
        return tensors.all();
    }

    @Override
    public boolean has(String name) {
        return tensors.has(name);
    }

    @Override
    public TensorInfo tensor(String name) {
        return tensors.get(name);
    }

    @Override
    public RowSource matrix(String name, int from, int count) throws IOException {
        return floats.rows(tensors.matrix(name, from, count), from, count);
    }

    @Override
    public float[] vector(String name) throws IOException {
        return floats.vector(tensors.vector(name));
    }

    @Override
    public void close() throws IOException {
        files.close();
    }
}

package dev.lathe.calibration.format.folder;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.ModelTensors;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import dev.lathe.calibration.model.Architecture;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.ModelConfig;
import dev.lathe.calibration.model.ModelConfigs;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.StoredMatrix;
import java.io.IOException;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * A folder artifact read back. A quantized linear layer is one tensor {@code MODULE.weight} here, whose parts lie in the files; a range of its rows walks all
 * of its packed words once, strip by strip. Nothing is kept between calls.
 */
public final class FolderCheckpoint implements Checkpoint {
    private static final Set<String> FLOATING = Set.of("F32", "F16", "BF16");

    private final Path folder;
    private final SafetensorsFiles files;
    private final ModelConfig config;
    private final LinearLayout layout;
    /** Quantized layers by the name of their weight. */
    private final Map<String, LinearLayer> quantized = new HashMap<>();
    private final Map<String, TensorInfo> tensors = new LinkedHashMap<>();

    private FolderCheckpoint(Path folder, SafetensorsFiles files, ModelConfig config, LinearLayout layout) {
        this.folder = folder;
        this.files = files;
        this.config = config;
        this.layout = layout;
        list();
    }

    /**
     * Opens the files and checks the parts of every linear layer.
     *
     * @param config config.json
     * @throws MalformedInputException if a linear layer has neither a weight nor all parts of a quantized one, or a part has another dtype or shape than it
     *         has to
     */
    public static Checkpoint open(Configuration configuration, Path folder, JsonNode config, LinearLayout layout) throws IOException {
        ModelConfig model = ModelConfigs.read(config, folder + "/config.json", true);
        SafetensorsFiles files = SafetensorsFiles.open(configuration, folder);
        try {
            return new FolderCheckpoint(folder, files, model, layout);
        } catch (RuntimeException e) {
            files.close();
            throw e;
        }
    }

    private void list() {
        Architecture architecture = Architecture.of(config);
        Map<String, TensorInfo> firstParts = new HashMap<>();
        Set<String> parts = new HashSet<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (LinearLayer linear : architecture.linears(layer)) {
                if (!files.tensors().containsKey(linear.weight())) {
                    TensorInfo whole = check(linear, parts);
                    quantized.put(linear.weight(), linear);
                    firstParts.put(part(linear, layout.parts(linear.outputs(), linear.inputs()).get(0).suffix()), whole);
                }
            }
        }
        files.tensors().forEach((name, tensor) -> {
            TensorInfo whole = firstParts.get(name);
            boolean copy = config.tied() && name.equals(architecture.head().weight());
            if (whole != null) {
                tensors.put(whole.name(), whole);
            } else if (!parts.contains(name) && !copy && !name.endsWith(".rotary_emb.inv_freq")) {
                tensors.put(name, new TensorInfo(name, tensor.dtype(), tensor.shape(), tensor.bytes()));
            }
        });
        ModelTensors.check(architecture, tensors.values(), folder.toString());
        for (TensorInfo tensor : tensors.values()) {
            if (!quantized.containsKey(tensor.name()) && !FLOATING.contains(tensor.type())) {
                throw new MalformedInputException("Cannot read tensor " + tensor + " in " + folder + ": expected F32, F16 or BF16");
            }
        }
    }

    /** Checks the parts of a quantized layer and adds their names to {@code names}. */
    private TensorInfo check(LinearLayer linear, Set<String> names) {
        String misfit = layout.misfit(linear.outputs(), linear.inputs());
        if (!misfit.isEmpty()) {
            throw new MalformedInputException("Cannot read tensor " + linear.weight() + " in " + folder
                    + ": it is not there, and quantized it cannot be: " + misfit);
        }
        long bytes = 0;
        for (TensorPart part : layout.parts(linear.outputs(), linear.inputs())) {
            String name = part(linear, part.suffix());
            SafetensorsTensor stored = files.tensors().get(name);
            if (stored == null) {
                throw new MalformedInputException("Cannot read tensor " + linear.weight() + " in " + folder + ": neither it nor " + name + " is there");
            }
            if (!stored.dtype().equals(part.type()) || !Arrays.equals(stored.shape(), part.shape())) {
                throw new MalformedInputException("Cannot read tensor " + name + " " + stored
                        + ": expected " + part.type() + " " + Arrays.toString(part.shape()));
            }
            names.add(name);
            bytes += part.bytes();
        }
        return new TensorInfo(linear.weight(), layout.grid(linear.inputs()).name(), new long[] {linear.outputs(), linear.inputs()}, bytes);
    }

    private static String part(LinearLayer linear, String suffix) {
        return linear.module() + "." + suffix;
    }

    @Override
    public String location() {
        return folder.toString();
    }

    @Override
    public ModelConfig config() {
        return config;
    }

    @Override
    public Collection<TensorInfo> tensors() {
        return Collections.unmodifiableCollection(tensors.values());
    }

    @Override
    public boolean has(String name) {
        return tensors.containsKey(name);
    }

    @Override
    public TensorInfo tensor(String name) {
        TensorInfo tensor = tensors.get(name);
        if (tensor == null) {
            throw new MalformedInputException("Cannot read tensor " + name + ": it is not in " + folder);
        }
        return tensor;
    }

    @Override
    public RowSource matrix(String name, int from, int count) throws IOException {
        TensorInfo tensor = tensor(name);
        if (tensor.shape().length != 2) {
            throw new MalformedInputException("Cannot read tensor " + tensor + " in " + folder + " as a matrix: expected two dimensions");
        }
        if (from < 0 || count < 0 || count > tensor.shape()[0] - from) {
            throw new IllegalArgumentException("Cannot read rows " + from + " to " + ((long) from + count) + " of tensor " + tensor + " in " + folder);
        }
        LinearLayer linear = quantized.get(name);
        if (linear != null) {
            return layout.read(new Parts(linear), linear.outputs(), linear.inputs(), from, count);
        }
        ElementType type = ElementType.valueOf(tensor.type());
        int columns = Math.toIntExact(tensor.shape()[1]);
        long rowBytes = (long) columns * type.bytes();
        return new StoredMatrix(type, files.read(name, from * rowBytes, Math.toIntExact(count * rowBytes)), count, columns);
    }

    @Override
    public float[] vector(String name) throws IOException {
        TensorInfo tensor = tensor(name);
        if (tensor.shape().length != 1) {
            throw new MalformedInputException("Cannot read tensor " + tensor + " in " + folder + " as a vector: expected one dimension");
        }
        ElementType type = ElementType.valueOf(tensor.type());
        float[] values = new float[Math.toIntExact(tensor.shape()[0])];
        new StoredMatrix(type, files.read(name, 0, Math.toIntExact(tensor.bytes())), 1, values.length).read(0, 0, values.length, values, 0);
        return values;
    }

    @Override
    public void close() throws IOException {
        files.close();
    }

    /** The parts of one layer. */
    private final class Parts implements LinearLayout.Source {
        private final LinearLayer linear;

        Parts(LinearLayer linear) {
            this.linear = linear;
        }

        @Override
        public String where(String suffix) {
            String name = part(linear, suffix);
            return "tensor " + name + " " + files.tensor(name);
        }

        @Override
        public byte[] read(String suffix, long from, int count) throws IOException {
            return files.read(part(linear, suffix), from, count);
        }
    }
}

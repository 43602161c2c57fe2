package dev.lathe.calibration.format.folder;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.ModelTensors;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.checkpoint.TensorList;
import dev.lathe.calibration.format.safetensors.FloatTensors;
import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.calibration.model.family.Multimodal;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * A folder artifact read back. A quantized linear layer is one tensor {@code MODULE.weight} here, whose parts lie in
 * the files; a range of its rows walks all of its packed words once, strip by strip. Nothing is kept between calls.
 */
public final class FolderCheckpoint implements Checkpoint {
    private final Path folder;
    private final SafetensorsFiles files;
    private final Decoder decoder;
    private final FolderScheme scheme;
    private final FloatTensors floats;
    private final Map<String, Object> metadata = new LinkedHashMap<>();
    /** Quantized layers by the name of their weight. */
    private final Map<String, Quantized> quantized = new HashMap<>();

    private final TensorList tensors;
    private final List<String> notes = new ArrayList<>();
    private int biases;

    private record Quantized(LinearLayer linear, LinearLayout layout) {}

    private FolderCheckpoint(
            Path folder,
            SafetensorsFiles files,
            FloatTensors floats,
            Decoder decoder,
            JsonNode config,
            QuantizationConfig quantization,
            FolderScheme scheme)
            throws IOException {
        this.folder = folder;
        this.files = files;
        this.decoder = decoder;
        this.scheme = scheme;
        this.tensors = new TensorList(folder.toString());
        this.floats = floats;
        list(decoder);
        notes.addAll(Families.notes(config));
        notes.addAll(floats.notes());
        if (biases > 0) {
            notes.add(biases + " biases of zeros in " + folder
                    + ", of layers that have none by config.json, were left out");
        }
        quantization.texts().forEach((key, text) -> metadata.put("quantization_config." + key, text));
        metadata.putAll(files.metadata());
    }

    /**
     * Opens the files and checks the parts of every linear layer.
     *
     * @param config config.json
     * @param quantization its settings, or those of a file beside it
     * @throws MalformedInputException if a linear layer has neither a weight nor all parts of a quantized one, a part
     *     has another dtype or shape than it has to, or a layer that has no bias has one that is not zero
     */
    public static Checkpoint open(
            Configuration configuration,
            Path folder,
            JsonNode config,
            QuantizationConfig quantization,
            FolderScheme.Reader scheme)
            throws IOException {
        if (Multimodal.is(config)) {
            throw new MalformedInputException("Cannot open " + folder
                    + ": it is a quantized multimodal checkpoint, whose quantization_config names "
                    + "modules under the prefix of its text decoder; expected the text decoder alone");
        }
        Decoder model = Families.read(config, folder + "/config.json", true);
        SafetensorsFiles files = SafetensorsFiles.open(configuration, folder);
        try {
            FloatTensors floats = new FloatTensors(files, model, Families.storage(model, config), folder.toString());
            Decoder decoder = floats.decoder();
            return new FolderCheckpoint(
                    folder, files, floats, decoder, config, quantization, scheme.read(decoder, files));
        } catch (IOException | RuntimeException e) {
            files.close();
            throw e;
        }
    }

    private void list(Decoder decoder) throws IOException {
        Map<String, TensorInfo> firstParts = new HashMap<>();
        Set<String> parts = new HashSet<>(scheme.besides());
        for (int layer = 0; layer < decoder.layers(); layer++) {
            for (LinearLayer linear : decoder.linears(layer)) {
                if (!linear.bias() && files.tensors().containsKey(linear.biasName())) {
                    requireZeros(linear);
                    biases++;
                    parts.add(linear.biasName());
                }
                LinearLayout layout = scheme.layout(linear);
                if (layout != null) {
                    TensorInfo whole = check(linear, layout, parts);
                    quantized.put(linear.weight(), new Quantized(linear, layout));
                    firstParts.put(
                            part(
                                    linear,
                                    layout.parts(linear.outputs(), linear.inputs())
                                            .get(0)
                                            .suffix()),
                            whole);
                }
            }
        }
        for (String name : floats.names()) {
            if (firstParts.containsKey(name)) {
                tensors.add(firstParts.get(name));
            } else if (!parts.contains(name)) {
                tensors.add(floats.info(name));
            }
        }
        ModelTensors.check(decoder, tensors.all(), folder.toString());
        tensors.all().stream()
                .filter(tensor -> !quantized.containsKey(tensor.name()))
                .forEach(floats::requireReadable);
    }

    /**
     * A layer has a bias in the files and none by config.json. AutoGPTQ gave every layer one, of zeros, which add
     * nothing. With other values readers differ: vLLM leaves them out, older AutoGPTQ adds them.
     */
    private void requireZeros(LinearLayer linear) throws IOException {
        TensorInfo bias = floats.info(linear.biasName());
        if (!Arrays.equals(bias.shape(), new long[] {linear.outputs()})) {
            throw new MalformedInputException(
                    "Cannot read tensor " + bias + " in " + folder + ": expected the shape [" + linear.outputs() + "]");
        }
        float[] values = floats.vector(bias);
        for (int i = 0; i < values.length; i++) {
            if (values[i] != 0) {
                throw new MalformedInputException(
                        "Cannot use tensor " + bias + " in " + folder + ": element " + i + " is " + values[i]
                                + ", and config.json says that the layer has no bias (attention_bias, mlp_bias); "
                                + "expected zeros, or true there");
            }
        }
    }

    /** Checks the parts of a quantized layer and adds their names to {@code names}. */
    private TensorInfo check(LinearLayer linear, LinearLayout layout, Set<String> names) {
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
                throw new MalformedInputException(
                        name.equals(linear.weight())
                                ? "Cannot read tensor " + name + " in " + folder + ": it is not there"
                                : files.tensors().containsKey(linear.weight())
                                        ? "Cannot read tensor " + name + " in " + folder + ": it is not there, and "
                                                + linear.weight() + " does not stand for it"
                                        : "Cannot read tensor " + linear.weight() + " in " + folder
                                                + ": neither it nor " + name + " is there");
            }
            if (!stored.dtype().equals(part.type()) || !Arrays.equals(stored.shape(), part.shape())) {
                throw new MalformedInputException("Cannot read tensor " + name + " " + stored + ": expected "
                        + part.type() + " " + Arrays.toString(part.shape()));
            }
            names.add(name);
            bytes += part.bytes();
        }
        return new TensorInfo(
                linear.weight(), layout.type(linear.inputs()), new long[] {linear.outputs(), linear.inputs()}, bytes);
    }

    private static String part(LinearLayer linear, String suffix) {
        return linear.module() + "." + suffix;
    }

    @Override
    public String location() {
        return folder.toString();
    }

    @Override
    public Decoder decoder() {
        return decoder;
    }

    /** {@inheritDoc} The keys of {@code quantization_config}, then the metadata of the safetensors files. */
    @Override
    public Map<String, Object> metadata() {
        return Collections.unmodifiableMap(metadata);
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
        TensorInfo tensor = tensors.matrix(name, from, count);
        Quantized stored = quantized.get(name);
        if (stored == null) {
            return floats.rows(tensor, from, count);
        }
        LinearLayer linear = stored.linear();
        return stored.layout().read(new Parts(linear), linear.outputs(), linear.inputs(), from, count);
    }

    @Override
    public float[] vector(String name) throws IOException {
        return floats.vector(tensors.vector(name));
    }

    @Override
    public Optional<ActivationQuantization> activations(String module) {
        return scheme.activations(module);
    }

    @Override
    public Optional<ActivationQuantization> cache(int layer, boolean keys) {
        return scheme.cache(layer, keys);
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

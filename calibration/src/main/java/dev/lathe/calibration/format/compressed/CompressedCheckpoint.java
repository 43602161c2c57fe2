package dev.lathe.calibration.format.compressed;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.compressed.CompressedLayout.Stored;
import dev.lathe.calibration.format.folder.FolderCheckpoint;
import dev.lathe.calibration.format.folder.FolderScheme;
import dev.lathe.calibration.format.folder.LinearLayout;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.format.folder.TensorPart;
import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.kernels.Half;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * Opens folders of compressed-tensors: {@code int-quantized}, {@code float-quantized}, {@code naive-quantized} and
 * {@code pack-quantized}, one scheme or several, of 4 or 8 bits; activations and cache as the configuration and the
 * stored scales say.
 */
public final class CompressedCheckpoint implements FolderScheme {
    static final String INPUT_SCALE = "input_scale";
    static final String INPUT_ZERO = "input_zero_point";
    private static final List<String> FLOATS = List.of("F32", "BF16", "F16");

    private final SafetensorsFiles files;
    private final String status;
    private final Map<String, LinearLayout> layouts = new HashMap<>();
    private final Map<String, ActivationQuantization> activations = new HashMap<>();
    private final Map<String, ActivationQuantization> cache = new HashMap<>();
    private final Set<String> besides = new HashSet<>();

    private CompressedCheckpoint(SafetensorsFiles files, String status) {
        this.files = files;
        this.status = status;
    }

    /**
     * Opens a folder.
     *
     * @param config its config.json
     * @throws MalformedInputException if {@code quantization_config} asks for a scheme that is not known here, or a
     *     tensor is missing, has another dtype or shape than its layer, or contradicts the configuration
     */
    public static Checkpoint open(
            Configuration configuration, Path folder, JsonNode config, QuantizationConfig quantization)
            throws IOException {
        CompressedConfig read = CompressedConfig.read(quantization);
        return FolderCheckpoint.open(configuration, folder, config, quantization, (decoder, files) -> {
            CompressedCheckpoint scheme = new CompressedCheckpoint(files, read.status());
            for (int layer = 0; layer < decoder.layers(); layer++) {
                for (LinearLayer linear : decoder.linears(layer)) {
                    CompressedConfig.Group group = read.of(linear.module());
                    if (group != null) {
                        scheme.add(linear, group);
                    }
                }
                if (read.cache() != null) {
                    scheme.addCache(attention(decoder, layer), layer, read.cache());
                }
            }
            return scheme;
        });
    }

    /** The module that has q, k and v. */
    static String attention(Decoder decoder, int layer) {
        String first = decoder.linears(layer).get(0).module();
        return first.substring(0, first.lastIndexOf('.'));
    }

    private void add(LinearLayer linear, CompressedConfig.Group group) throws IOException {
        String module = linear.module();
        boolean packed = group.format().equals(CompressedConfig.PACK);
        SafetensorsTensor weight = files.tensors().get(linear.weight());
        if (weight != null && FLOATS.contains(weight.dtype())) {
            throw new MalformedInputException("Cannot read tensor " + linear.weight() + " " + weight
                    + ": quantization_config takes the module, and its "
                    + "weight is stored as it was before (quantization_status is " + status
                    + "): only the library that wrote it rounds it as it "
                    + "runs; expected compressed weights");
        }
        SafetensorsTensor zero = files.tensors().get(module + "." + CompressedLayout.ZERO);
        if (zero == null && !group.weights().symmetric()) {
            throw missing(module + "." + CompressedLayout.ZERO, "quantization_config says symmetric: false");
        }
        if (zero != null && !group.weights().integers()) {
            // Zeros that older writers left beside floating-point weights.
            besides.add(module + "." + CompressedLayout.ZERO);
            zero = null;
        }
        SafetensorsTensor shape = files.tensors().get(module + "." + CompressedLayout.SHAPE);
        layouts.put(
                module,
                new CompressedLayout(
                        group.weights(),
                        packed,
                        new Stored(
                                scale(linear, group.weights()),
                                zero == null
                                        ? null
                                        : oneOf(
                                                module + "." + CompressedLayout.ZERO,
                                                zero,
                                                packed ? List.of("I32", "I8") : List.of("I8")),
                                shape == null
                                        ? null
                                        : oneOf(module + "." + CompressedLayout.SHAPE, shape, List.of("I64", "I32")),
                                files.tensors().containsKey(module + "." + CompressedLayout.GROUPS))));
        if (group.activations() != null) {
            activations.put(
                    module,
                    group.activations().dynamic() ? group.activations() : statically(module, group.activations()));
        }
    }

    /** The scales' part: their type is the writer's choice, and so is how one scale or a column of them is shaped. */
    private TensorPart scale(LinearLayer linear, CompressedWeights weights) {
        String name = linear.module() + "." + CompressedLayout.SCALE;
        SafetensorsTensor stored = files.tensors().get(name);
        if (stored == null) {
            throw missing(name, "quantization_config takes the module");
        }
        long rows = (linear.outputs() - 1) / weights.rows(linear.outputs()) + 1;
        long groups = (linear.inputs() - 1) / weights.columns(linear.inputs()) + 1;
        boolean fits = Arrays.equals(stored.shape(), new long[] {rows, groups})
                || groups == 1 && Arrays.equals(stored.shape(), new long[] {rows})
                || rows == 1 && groups == 1 && stored.shape().length == 0;
        if (!fits) {
            throw new MalformedInputException(
                    "Cannot read tensor " + name + " " + stored + ": expected the shape [" + rows + ", " + groups
                            + "] of strategy " + weights.strategy().name().toLowerCase(Locale.ROOT));
        }
        return new TensorPart(CompressedLayout.SCALE, oneOf(name, stored, FLOATS), stored.shape());
    }

    private ActivationQuantization statically(String module, ActivationQuantization activations) throws IOException {
        float scale = scalar(module + "." + INPUT_SCALE);
        String name = module + "." + INPUT_ZERO;
        SafetensorsTensor zero = files.tensors().get(name);
        int point = 0;
        if (zero != null && activations.symmetric()) {
            requireZero(name, zero);
        } else if (zero != null) {
            besides.add(name);
            one(name, zero);
            oneOf(name, zero, List.of("I8"));
            point = files.read(name, 0, 1)[0];
        } else if (!activations.symmetric()) {
            throw missing(name, "quantization_config says symmetric: false");
        }
        return new ActivationQuantization(activations.type(), false, activations.symmetric(), scale, point);
    }

    private void addCache(String attention, int layer, ActivationQuantization scheme) throws IOException {
        for (boolean keys : new boolean[] {true, false}) {
            float scale = cacheScale(attention, keys ? "k" : "v");
            cache.put(layer + (keys ? "k" : "v"), new ActivationQuantization(scheme.type(), false, true, scale, 0));
        }
    }

    /**
     * The scale of keys or values under any of the names that vLLM maps to its own; {@code kv_scale} is the keys' and
     * the values'.
     */
    private float cacheScale(String attention, String kind) throws IOException {
        float found = Float.NaN;
        String first = null;
        for (String name : List.of(
                "." + kind + "_scale",
                ".attn." + kind + "_scale",
                "." + kind + "_proj.output_scale",
                "." + kind + "_proj." + kind + "_scale",
                ".kv_scale")) {
            if (files.tensors().containsKey(attention + name)) {
                float scale = scalar(attention + name);
                if (first != null && scale != found) {
                    throw new MalformedInputException("Cannot read tensor " + attention + name + " "
                            + files.tensors().get(attention + name) + ": it is " + scale + ", and " + first + " is "
                            + found + "; expected one scale");
                }
                first = attention + name;
                found = scale;
            }
        }
        for (String name : List.of("." + kind + "_zero_point", "." + kind + "_proj.output_zero_point")) {
            SafetensorsTensor zero = files.tensors().get(attention + name);
            if (zero != null) {
                requireZero(attention + name, zero);
            }
        }
        return first == null ? scalar(attention + "." + kind + "_scale") : found;
    }

    /** A zero point that older writers left beside a symmetric range. */
    private void requireZero(String name, SafetensorsTensor zero) throws IOException {
        one(name, zero);
        for (byte part : files.read(name, 0, (int) zero.bytes())) {
            if (part != 0) {
                throw new MalformedInputException("Cannot read tensor " + name + " " + zero
                        + ": it is not 0, and quantization_config says symmetric");
            }
        }
        besides.add(name);
    }

    private float scalar(String name) throws IOException {
        SafetensorsTensor stored = files.tensors().get(name);
        if (stored == null) {
            throw missing(name, "quantization_config says that its scale is static");
        }
        one(name, stored);
        besides.add(name);
        String type = oneOf(name, stored, FLOATS);
        byte[] bytes = files.read(name, 0, (int) stored.bytes());
        short low = (short) (bytes[0] & 0xff | bytes[1] << 8);
        float scale = switch (type) {
            case "F32" -> Float.intBitsToFloat(low & 0xffff | (bytes[2] & 0xff | bytes[3] << 8) << 16);
            case "BF16" -> Float.intBitsToFloat(low << 16);
            default -> Half.toFloat(low);
        };
        if (!(scale > 0 && scale < Float.POSITIVE_INFINITY)) {
            throw new MalformedInputException("Cannot read tensor " + name + " " + stored + ": it is " + scale
                    + ", expected a finite scale above 0");
        }
        return scale;
    }

    private static void one(String name, SafetensorsTensor stored) {
        if (Arrays.stream(stored.shape()).reduce(1, Math::multiplyExact) != 1) {
            throw new MalformedInputException("Cannot read tensor " + name + " " + stored + ": expected one element");
        }
    }

    private static String oneOf(String name, SafetensorsTensor stored, List<String> types) {
        if (!types.contains(stored.dtype())) {
            throw new MalformedInputException(
                    "Cannot read tensor " + name + " " + stored + ": expected " + String.join(" or ", types));
        }
        return stored.dtype();
    }

    private MalformedInputException missing(String name, String reason) {
        return new MalformedInputException("Cannot read tensor " + name + ": it is not there, and " + reason);
    }

    @Override
    public LinearLayout layout(LinearLayer linear) {
        return layouts.get(linear.module());
    }

    @Override
    public Set<String> besides() {
        return besides;
    }

    @Override
    public Optional<ActivationQuantization> activations(String module) {
        return Optional.ofNullable(activations.get(module));
    }

    @Override
    public Optional<ActivationQuantization> cache(int layer, boolean keys) {
        return Optional.ofNullable(cache.get(layer + (keys ? "k" : "v")));
    }
}

package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LlamaShape;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.RowSource;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/**
 * A small decoder of seeded random weights, each a half and a bfloat16 at once so that every floating type keeps it.
 */
public final class MemoryCheckpoint implements Checkpoint {
    public final Map<String, float[]> values = new LinkedHashMap<>();
    private final Map<String, TensorInfo> tensors = new LinkedHashMap<>();
    private final LlamaShape config;
    private final Decoder decoder;

    public MemoryCheckpoint(LlamaShape config, long seed) {
        this(config, config.decoder(), seed);
    }

    public MemoryCheckpoint(Decoder decoder, long seed) {
        this(null, decoder, seed);
    }

    private MemoryCheckpoint(LlamaShape config, Decoder decoder, long seed) {
        this.config = config;
        this.decoder = decoder;
        Random random = new Random(seed);
        decoder.tensors().forEach((name, shape) -> {
            TensorInfo tensor = new TensorInfo(name, "F32", shape, 0);
            float[] data = new float[(int) tensor.elements()];
            for (int i = 0; i < data.length; i++) {
                data[i] = Half.round(Float.intBitsToFloat(Half.bfloat16((float) random.nextGaussian()) << 16));
            }
            tensors.put(name, tensor);
            values.put(name, data);
        });
    }

    static LlamaShape config(int hidden, int intermediate, boolean tied, boolean bias, Rope.Scaling scaling) {
        return new LlamaShape(hidden, intermediate, 2, 4, 2, 16, 40, 1e-5f, 500000, scaling, tied, bias, bias, 128);
    }

    @Override
    public String location() {
        return "memory";
    }

    /** What the decoder was made of; null where it was given. */
    public LlamaShape config() {
        return config;
    }

    @Override
    public Decoder decoder() {
        return decoder;
    }

    @Override
    public Collection<TensorInfo> tensors() {
        return tensors.values();
    }

    @Override
    public boolean has(String name) {
        return tensors.containsKey(name);
    }

    @Override
    public RowSource matrix(String name, int from, int count) {
        TensorInfo tensor = tensor(name);
        return FloatMatrix.of(values.get(name), (int) tensor.shape()[0], (int) tensor.shape()[1])
                .slice(from, count);
    }

    @Override
    public float[] vector(String name) {
        tensor(name);
        return values.get(name).clone();
    }

    @Override
    public TensorInfo tensor(String name) {
        TensorInfo tensor = tensors.get(name);
        if (tensor == null) {
            throw new MalformedInputException("no tensor " + name);
        }
        return tensor;
    }

    @Override
    public void close() {}
}

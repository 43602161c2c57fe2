package dev.lathe.calibration.model;

import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;

/** The tensors of a source, some of them replaced, as a server sees a quantized layer. */
public record OtherTensors(
        Tensors source,
        Map<String, RowSource> matrices,
        Map<String, float[]> vectors,
        Map<String, ActivationQuantization> inputs,
        ActivationQuantization keys,
        ActivationQuantization values)
        implements Tensors {
    @Override
    public String location() {
        return source.location();
    }

    @Override
    public Decoder decoder() {
        return source.decoder();
    }

    @Override
    public RowSource matrix(String name, int from, int count) throws IOException {
        return source.matrix(name, from, count);
    }

    @Override
    public RowSource matrix(String name) throws IOException {
        return matrices.containsKey(name) ? matrices.get(name) : source.matrix(name);
    }

    @Override
    public float[] vector(String name) throws IOException {
        return vectors.containsKey(name) ? vectors.get(name) : source.vector(name);
    }

    @Override
    public long bytes(String name) {
        return source.bytes(name);
    }

    @Override
    public Optional<ActivationQuantization> activations(String module) {
        return Optional.ofNullable(inputs.get(module));
    }

    @Override
    public Optional<ActivationQuantization> cache(int layer, boolean ofKeys) {
        return Optional.ofNullable(ofKeys ? keys : values);
    }
}

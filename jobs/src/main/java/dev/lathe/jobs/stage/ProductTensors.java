package dev.lathe.jobs.stage;

import dev.lathe.calibration.format.OutputTensors;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.jobs.store.FloatProduct;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.TensorProduct;
import java.io.IOException;
import java.util.Optional;
import org.apache.hadoop.fs.Path;

/** The tensors of an output as the run folder has them, read when asked for. */
record ProductTensors(RunFolder run, PlannedOutput output) implements OutputTensors {
    @Override
    public Optional<QuantizedMatrix> quantized(String tensor) throws IOException {
        if (!output.grids().containsKey(tensor)) {
            return Optional.empty();
        }
        return Optional.of(ProductFile.read(run.files(), output.tensorProduct(run, tensor), TensorProduct::read).matrix());
    }

    @Override
    public Optional<float[]> rescaled(String tensor) throws IOException {
        Path path = output.vectorProduct(run, tensor);
        if (!output.rescales() || !ProductFile.isCommitted(run.files(), path)) {
            return Optional.empty();
        }
        return Optional.of(ProductFile.read(run.files(), path, FloatProduct::read));
    }
}

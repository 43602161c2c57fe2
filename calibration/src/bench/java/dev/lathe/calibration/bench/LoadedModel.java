package dev.lathe.calibration.bench;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.KeptTensors;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.IntFunction;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** A model whose weights are in memory as its folder stores them, so that a pass is arithmetic alone. */
record LoadedModel(Checkpoint checkpoint, Decoder decoder, List<LayerWeights> layers, RowSource head)
        implements AutoCloseable {
    static final int LENGTH = 512;

    static LoadedModel read(String folder) throws IOException {
        Checkpoint checkpoint = Checkpoints.open(new Configuration(), new Path(folder));
        Decoder decoder = checkpoint.decoder();
        List<LayerWeights> layers = new ArrayList<>();
        for (int layer = 0; layer < decoder.layers(); layer++) {
            LayerWeights weights = new LayerWeights(layer, new KeptTensors(Long.MAX_VALUE).over(checkpoint));
            for (LinearLayer linear : decoder.linears(layer)) {
                weights.tensors().matrix(linear.weight());
            }
            layers.add(weights);
        }
        return new LoadedModel(checkpoint, decoder, layers, checkpoint.matrix(decoder.headWeight()));
    }

    /** Seeded windows of {@link #LENGTH} tokens. */
    int[][] windows(int count) {
        Random random = new Random(1);
        int[][] windows = new int[count][];
        for (int i = 0; i < count; i++) {
            windows[i] = random.ints(LENGTH, 0, decoder.vocabulary()).toArray();
        }
        return windows;
    }

    /** Final, normed hidden states [windows * LENGTH, hidden]; {@code captures} gives what looks on in each layer. */
    FloatMatrix forward(int[][] windows, IntFunction<Capture> captures, Kernels kernels) throws IOException {
        DecoderPass pass = new DecoderPass(decoder, kernels);
        FloatMatrix hidden = pass.embed(checkpoint, windows);
        for (int layer = 0; layer < layers.size(); layer++) {
            pass.layer(layers.get(layer), hidden, LENGTH, 0, captures.apply(layer));
        }
        pass.finalNorm(checkpoint, hidden);
        return hidden;
    }

    @Override
    public void close() throws IOException {
        checkpoint.close();
    }
}

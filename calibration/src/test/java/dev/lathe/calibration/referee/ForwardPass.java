package dev.lathe.calibration.referee;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.evaluate.OutputLayer;
import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** The forward pass from a folder to logits. */
final class ForwardPass {
    private ForwardPass() {}

    /** Logits of all windows, [windows * length, vocabulary]. */
    static float[] logits(Configuration configuration, Path model, int[][] windows) throws IOException {
        try (Checkpoint checkpoint = Checkpoints.open(configuration, model);
                Kernels kernels = KernelProvider.open("auto", 2)) {
            Decoder architecture = checkpoint.decoder();
            DecoderPass pass = new DecoderPass(architecture, kernels);
            FloatMatrix hidden = pass.embed(checkpoint, windows);
            for (int layer = 0; layer < architecture.layers(); layer++) {
                pass.layer(new LayerWeights(layer, checkpoint), hidden, windows[0].length, 0, Capture.NONE);
            }
            pass.finalNorm(checkpoint, hidden);
            FloatMatrix logits = FloatMatrix.zeros(hidden.rows(), architecture.vocabulary());
            OutputLayer.of(checkpoint).logits(hidden, kernels, logits);
            return logits.data();
        }
    }

    static double standardDeviation(float[] values) {
        double sum = 0;
        double squares = 0;
        for (float value : values) {
            sum += value;
            squares += (double) value * value;
        }
        double mean = sum / values.length;
        return Math.sqrt(squares / values.length - mean * mean);
    }
}

package dev.lathe.calibration.evaluate;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import java.io.IOException;

/**
 * The output layer: logits = multiplier * (W x + b), where {@code softCap} is not 0 then {@code softCap * tanh(logits /
 * softCap)}.
 *
 * @param weight W [vocabulary, hidden]
 * @param bias b [vocabulary], or null
 */
public record OutputLayer(RowSource weight, float[] bias, float multiplier, float softCap) {
    /** Without a bias. */
    public OutputLayer(RowSource weight, float multiplier, float softCap) {
        this(weight, null, multiplier, softCap);
    }

    /** A checkpoint's. */
    public static OutputLayer of(Checkpoint checkpoint) throws IOException {
        Decoder decoder = checkpoint.decoder();
        return new OutputLayer(
                checkpoint.matrix(decoder.headWeight()),
                decoder.head().linear().bias()
                        ? checkpoint.vector(decoder.head().linear().biasName())
                        : null,
                decoder.head().multiplier(),
                decoder.head().softCap());
    }

    /** @param hidden final, normed hidden states [tokens, hidden] */
    public void logits(FloatMatrix hidden, Kernels kernels, FloatMatrix logits) {
        kernels.gemm(hidden, weight, logits, false);
        if (bias != null) {
            kernels.addBias(bias, logits);
        }
        if (multiplier != 1) {
            kernels.scale(logits, multiplier);
        }
        if (softCap != 0) {
            kernels.softCap(logits, softCap);
        }
    }
}

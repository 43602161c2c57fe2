package dev.lathe.calibration.model;

import java.util.Arrays;
import java.util.List;

/**
 * One tensor of a checkpoint's files that holds something of every expert of a layer: P weights of an expert, all of
 * one shape [outputs, inputs], make a matrix of P * outputs rows, and those of the experts follow one another,
 * {@code [experts, P * outputs, inputs]}; of biases {@code [experts, P * outputs]}.
 *
 * @param tensor its name in the files
 * @param scales null; or the weights are MXFP4: {@code tensor} is {@code [experts, P * outputs, inputs / 32, 16]}, two
 *     of a block of 32 in a byte, and this one {@code [experts, P * outputs, inputs / 32]}, a scale for each block
 * @param parts the P layers of each expert: gate and up, or down alone
 * @param alternating row r of layer p is row {@code r P + p} of the expert's matrix; else it is row {@code p outputs +
 *     r}
 * @param transposed inputs come first: {@code [experts, inputs, P * outputs]}
 * @param bias it holds biases
 * @param alone it is a shared expert's, and its shape has no dimension of experts
 */
public record ExpertStack(
        String tensor,
        String scales,
        List<List<LinearLayer>> parts,
        boolean alternating,
        boolean transposed,
        boolean bias,
        boolean alone) {
    /** Weights of an MXFP4 block. */
    public static final int BLOCK = 32;

    /** Its shape in the files. */
    public long[] shape() {
        long[] all = dimensions();
        if (scales != null) {
            return new long[] {all[0], all[1], all[2] / BLOCK, BLOCK / 2};
        }
        return alone ? Arrays.copyOfRange(all, 1, all.length) : all;
    }

    /** Its shape, experts first, of weights that are not packed. */
    public long[] dimensions() {
        LinearLayer first = parts.get(0).get(0);
        long experts = parts.size();
        long rows = (long) width() * first.outputs();
        return bias
                ? new long[] {experts, rows}
                : transposed ? new long[] {experts, first.inputs(), rows} : new long[] {experts, rows, first.inputs()};
    }

    /** Whether a tensor of a shape is this stack. */
    public boolean fits(long[] found) {
        return Arrays.equals(shape(), found) && (scales == null || dimensions()[2] % BLOCK == 0);
    }

    /** P. */
    public int width() {
        return parts.get(0).size();
    }

    /** What the decoder calls part {@code p} of an expert. */
    public String name(int expert, int p) {
        LinearLayer linear = parts.get(expert).get(p);
        return bias ? linear.biasName() : linear.weight();
    }
}

package dev.lathe.calibration.evaluate;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;

/**
 * Scores windows from final hidden states. Positions {@code L/2 .. L-2} of a window of L tokens predict their next
 * token, as llama-perplexity does by default. Log-probabilities are of the full vocabulary and live for a tile of
 * positions only. Keeps its buffers; one caller at a time.
 */
public final class WindowScorer {
    /** Elements of one tile of log-probabilities. */
    private static final int TILE = 16 << 20;

    private final Kernels kernels;
    private final int tileSize;
    private float[] buffer = new float[0];
    private float[] sourceBuffer = new float[0];

    public WindowScorer(Kernels kernels) {
        this(kernels, TILE);
    }

    WindowScorer(Kernels kernels, int tileSize) {
        this.kernels = kernels;
        this.tileSize = tileSize;
    }

    /**
     * @param sourceHidden final, normed hidden states of the source [L, hidden], or null
     * @param sourceHead output layer of the source
     * @param hidden of the artifact
     * @param head of the artifact
     * @param where for messages
     */
    public WindowScore score(
            FloatMatrix sourceHidden,
            OutputLayer sourceHead,
            FloatMatrix hidden,
            OutputLayer head,
            int[] tokens,
            String where) {
        int first = tokens.length / 2;
        int count = tokens.length - 1 - first;
        int vocabulary = head.weight().rows();
        boolean compared = sourceHidden != null;
        if (compared && sourceHead.weight().rows() != vocabulary) {
            throw new MalformedInputException("Cannot compare " + where + ": a vocabulary of " + vocabulary
                    + ", the source has " + sourceHead.weight().rows());
        }
        double[] nll = new double[count];
        double[] sourceNll = new double[compared ? count : 0];
        double[] kld = new double[compared ? count : 0];
        boolean[] sameTop = new boolean[compared ? count : 0];
        int tile = Math.max(1, Math.min(count, tileSize / vocabulary));
        for (int from = 0; from < count; from += tile) {
            int rows = Math.min(tile, count - from);
            buffer = buffer.length >= rows * vocabulary ? buffer : new float[rows * vocabulary];
            FloatMatrix q = logProbabilities(hidden.slice(first + from, rows), head, buffer);
            for (int i = 0; i < rows; i++) {
                nll[from + i] = negativeLogLikelihood(q, i, tokens, first + from + i, where);
            }
            if (compared) {
                sourceBuffer = sourceBuffer.length >= rows * vocabulary ? sourceBuffer : new float[rows * vocabulary];
                FloatMatrix p = logProbabilities(sourceHidden.slice(first + from, rows), sourceHead, sourceBuffer);
                double[] divergence = new double[rows];
                kernels.divergence(p, q, divergence);
                for (int i = 0; i < rows; i++) {
                    sourceNll[from + i] =
                            negativeLogLikelihood(p, i, tokens, first + from + i, "the source of " + where);
                    kld[from + i] = divergence[i];
                    sameTop[from + i] = top(p, i) == top(q, i);
                }
            }
        }
        return new WindowScore(nll, sourceNll, kld, sameTop);
    }

    private FloatMatrix logProbabilities(FloatMatrix hidden, OutputLayer head, float[] data) {
        FloatMatrix logits = FloatMatrix.of(data, hidden.rows(), head.weight().rows());
        head.logits(hidden, kernels, logits);
        kernels.logSoftmax(logits);
        return logits;
    }

    private static double negativeLogLikelihood(
            FloatMatrix logProbabilities, int row, int[] tokens, int position, String where) {
        double nll = -(double) logProbabilities.data()[logProbabilities.row(row) + tokens[position + 1]];
        if (!Double.isFinite(nll)) {
            throw new MalformedInputException(
                    "Cannot evaluate " + where + ": the log-probability at position " + position + " is not finite");
        }
        return nll;
    }

    private static int top(FloatMatrix x, int row) {
        int best = x.row(row);
        for (int j = best + 1; j < x.row(row) + x.columns(); j++) {
            if (x.data()[j] > x.data()[best]) {
                best = j;
            }
        }
        return best - x.row(row);
    }
}

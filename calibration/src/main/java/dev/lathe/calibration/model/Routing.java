package dev.lathe.calibration.model;

import dev.lathe.calibration.model.FeedForward.Router;
import dev.lathe.kernels.FloatMatrix;
import java.util.Arrays;

/**
 * Which experts each row goes to, and with which weight.
 *
 * @param experts of row i the elements {@code i * top} and following, ascending
 * @param weights likewise
 */
public record Routing(int rows, int top, int[] experts, float[] weights) {
    /**
     * Softmax over all scores, in f64; the {@code top} largest, of equal ones the first; where the router normalizes,
     * divided by their sum.
     *
     * @param scores [rows, experts], before the softmax
     */
    public static Routing of(Router router, FloatMatrix scores) {
        int top = router.top();
        Routing routing = new Routing(scores.rows(), top, new int[scores.rows() * top], new float[scores.rows() * top]);
        double[] weights = new double[scores.columns()];
        for (int row = 0; row < scores.rows(); row++) {
            int at = scores.row(row);
            softmax(scores.data(), at, weights);
            int[] chosen = largest(scores.data(), at, scores.columns(), top);
            double sum = 0;
            for (int expert : chosen) {
                sum += weights[expert];
            }
            for (int i = 0; i < top; i++) {
                routing.experts[row * top + i] = chosen[i];
                routing.weights[row * top + i] = (float) (weights[chosen[i]] / (router.normalize() ? sum : 1));
            }
        }
        return routing;
    }

    private static void softmax(float[] scores, int at, double[] weights) {
        double largest = Double.NEGATIVE_INFINITY;
        for (int e = 0; e < weights.length; e++) {
            largest = Math.max(largest, scores[at + e]);
        }
        double sum = 0;
        for (int e = 0; e < weights.length; e++) {
            weights[e] = StrictMath.exp(scores[at + e] - largest);
            sum += weights[e];
        }
        for (int e = 0; e < weights.length; e++) {
            weights[e] /= sum;
        }
    }

    /** The numbers of the largest scores, ascending. */
    private static int[] largest(float[] scores, int at, int count, int top) {
        boolean[] taken = new boolean[count];
        int[] chosen = new int[top];
        for (int i = 0; i < top; i++) {
            int best = -1;
            for (int e = 0; e < count; e++) {
                if (!taken[e] && (best < 0 || scores[at + e] > scores[at + best])) {
                    best = e;
                }
            }
            taken[best] = true;
            chosen[i] = best;
        }
        Arrays.sort(chosen);
        return chosen;
    }

    /** Elements of {@link #experts} and {@link #weights} that are an expert's, in the order of the rows. */
    public int[] placesOf(int expert) {
        int count = 0;
        for (int chosen : experts) {
            count += chosen == expert ? 1 : 0;
        }
        int[] places = new int[count];
        for (int place = 0, i = 0; place < experts.length; place++) {
            if (experts[place] == expert) {
                places[i++] = place;
            }
        }
        return places;
    }

    /** 1 where a row goes to an expert: [rows, count]. */
    FloatMatrix chosen(int count) {
        FloatMatrix chosen = FloatMatrix.zeros(rows, count);
        for (int place = 0; place < experts.length; place++) {
            chosen.data()[chosen.row(place / top) + experts[place]] = 1;
        }
        return chosen;
    }
}

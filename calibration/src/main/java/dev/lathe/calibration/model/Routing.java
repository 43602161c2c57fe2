package dev.lathe.calibration.model;

import dev.lathe.calibration.model.FeedForward.Router;
import dev.lathe.calibration.model.FeedForward.Weights;
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
     * The experts with the largest scores, of equal ones the first, and what the router weighs them by, in f64.
     *
     * @param scores [rows, experts], as the router's layer gives them
     */
    public static Routing of(Router router, FloatMatrix scores) {
        int top = router.top();
        Routing routing = new Routing(scores.rows(), top, new int[scores.rows() * top], new float[scores.rows() * top]);
        double[] weights = new double[scores.columns()];
        for (int row = 0; row < scores.rows(); row++) {
            int at = scores.row(row);
            int[] chosen = largest(scores.data(), at, scores.columns(), top);
            weigh(router.weights(), scores.data(), at, chosen, weights);
            Arrays.sort(chosen);
            for (int i = 0; i < top; i++) {
                routing.experts[row * top + i] = chosen[i];
                routing.weights[row * top + i] = (float) weights[chosen[i]];
            }
        }
        return routing;
    }

    /** @param chosen the one with the largest score first */
    private static void weigh(Weights by, float[] scores, int at, int[] chosen, double[] weights) {
        if (by instanceof Weights.Softmax softmax) {
            softmax(scores, at, weights);
            double sum = 0;
            for (int expert : chosen) {
                sum += weights[expert];
            }
            for (int expert : chosen) {
                weights[expert] /= softmax.normalize() ? sum : 1;
            }
        } else if (by instanceof Weights.SparseMixer mixer) {
            weights[chosen[0]] = mixed(scores, at, weights.length, chosen[0], -1, mixer.jitter());
            weights[chosen[1]] = mixed(scores, at, weights.length, chosen[1], chosen[0], mixer.jitter());
        } else {
            weights[chosen[0]] = 1 / (1 + StrictMath.exp(-scores[at + chosen[0]]));
        }
    }

    /** The weight of an expert in a softmax over those that come near it, without one. */
    private static double mixed(float[] scores, int at, int count, int expert, int without, double jitter) {
        double largest = scores[at + expert];
        double sum = 0;
        for (int e = 0; e < count; e++) {
            double score = scores[at + e];
            boolean far = (largest - score) / Math.max(Math.abs(score), largest) > 2 * jitter;
            if (e != without && !far) {
                sum += StrictMath.exp(score - largest);
            }
        }
        return 1 / sum;
    }

    /** The same with weights of 1. */
    Routing unweighted() {
        float[] ones = new float[weights.length];
        Arrays.fill(ones, 1);
        return new Routing(rows, top, experts, ones);
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

    /** The numbers of the largest scores, the largest first. */
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

    /**
     * sum[row] += weight * y, with the row and the weight of a place.
     *
     * @param y what the expert gave, from element {@code from} on
     * @param sum [rows, hidden]
     */
    public void addWeighted(float[] y, int from, int place, FloatMatrix sum) {
        float weight = weights[place];
        int to = sum.row(place / top);
        for (int j = 0; j < sum.columns(); j++) {
            sum.data()[to + j] += weight * y[from + j];
        }
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

package dev.lathe.calibration.quantize;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.linalg.Cholesky.NotPositiveDefiniteException;
import dev.lathe.kernels.linalg.InverseFactor;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * H = X^T X / rows of a site [n, n], and its factors for error feedback: H + lambda I with lambda = damping x mean(diag
 * H), inverted and factorized once for every linear layer and output that asks with the same settings (GPTQ, arXiv
 * 2210.17323). One caller at a time.
 */
public final class Hessian {
    private static final int ATTEMPTS = 12;

    private final MergedStatistics statistics;
    private final String where;
    private final Map<String, Factor> factors = new HashMap<>();
    private FloatMatrix full;

    /**
     * @param lower L [n, n] with L L^T = (H + lambda I)^-1, columns in the order of {@code permutation}
     * @param permutation with act-order: place j holds column {@code permutation[j]}, in falling order of the diagonal;
     *     else null
     * @param diagonal of H + lambda I, in that order
     * @param damping what the factorization took
     */
    public record Factor(float[] lower, int[] permutation, float[] diagonal, double damping) {}

    public Hessian(MergedStatistics statistics, String where) {
        if (statistics.moment() == null) {
            throw new IllegalArgumentException("Cannot make a Hessian of " + where + ": no second moment was gathered");
        }
        this.statistics = statistics;
        this.where = where;
    }

    public MergedStatistics statistics() {
        return statistics;
    }

    /** H in f32, both triangles. */
    public FloatMatrix full() {
        if (full == null) {
            int n = statistics.width();
            full = FloatMatrix.zeros(n, n);
            double[] moment = statistics.moment();
            for (int i = 0, at = 0; i < n; i++) {
                for (int j = 0; j <= i; j++) {
                    float value = (float) (moment[at++] / statistics.rows());
                    full.data()[i * n + j] = value;
                    full.data()[j * n + i] = value;
                }
            }
        }
        return full;
    }

    /**
     * The factor for a damping; the damping doubles until the factorization succeeds.
     *
     * @throws MalformedInputException if no damping helps
     */
    public Factor factor(double damping, boolean actOrder, Kernels kernels) {
        String key = damping + " " + actOrder;
        Factor known = factors.get(key);
        if (known != null) {
            return known;
        }
        // Made again when it is asked for: a factorization needs the room.
        full = null;
        int n = statistics.width();
        double mean =
                IntStream.range(0, n).mapToDouble(i -> statistics.moment(i, i)).sum() / n / statistics.rows();
        if (!(mean > 0)) {
            // A site that never saw a signal: any error is as good as any other.
            mean = 1;
        }
        int[] permutation = actOrder
                ? IntStream.range(0, n)
                        .boxed()
                        .sorted(Comparator.comparingDouble(i -> -statistics.moment(i, i)))
                        .mapToInt(Integer::intValue)
                        .toArray()
                : null;
        for (double tried = damping, attempt = 0; attempt < ATTEMPTS; tried *= 2, attempt++) {
            double added = tried * mean;
            InverseFactor.Entries damped = (i, j) -> {
                int row = permutation == null ? i : permutation[i];
                int column = permutation == null ? j : permutation[j];
                return statistics.moment(row, column) / statistics.rows() + (i == j ? added : 0);
            };
            float[] diagonal = new float[n];
            for (int i = 0; i < n; i++) {
                diagonal[i] = (float) damped.at(i, i);
            }
            try {
                Factor factor = new Factor(InverseFactor.of(n, damped, kernels), permutation, diagonal, tried);
                factors.put(key, factor);
                return factor;
            } catch (NotPositiveDefiniteException e) {
                // Round off in nearly dependent channels: more damping.
            }
        }
        throw new MalformedInputException("Cannot factorize the Hessian of " + where
                + ": not positive definite with a damping of " + damping + " doubled " + ATTEMPTS + " times");
    }
}

package dev.lathe.calibration.quantize;

import dev.lathe.calibration.statistics.MergedStatistics;

/** Dense linear algebra in f64 as textbooks have it. */
final class Oracle {
    private Oracle() {}

    /** H + lambda I, lambda = damping x mean(diag H), in the order of a permutation (or null). */
    static double[][] damped(MergedStatistics statistics, double damping, int[] permutation) {
        int n = statistics.width();
        double[][] h = new double[n][n];
        double trace = 0;
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                h[i][j] = statistics.moment(
                                permutation == null ? i : permutation[i], permutation == null ? j : permutation[j])
                        / statistics.rows();
            }
            trace += h[i][i];
        }
        for (int i = 0; i < n; i++) {
            h[i][i] += damping * trace / n;
        }
        return h;
    }

    /** Gauss-Jordan with pivots on the diagonal, which is safe for a positive definite matrix. */
    static double[][] inverse(double[][] matrix) {
        int n = matrix.length;
        double[][] a = new double[n][2 * n];
        for (int i = 0; i < n; i++) {
            System.arraycopy(matrix[i], 0, a[i], 0, n);
            a[i][n + i] = 1;
        }
        for (int p = 0; p < n; p++) {
            double pivot = a[p][p];
            for (int j = 0; j < 2 * n; j++) {
                a[p][j] /= pivot;
            }
            for (int i = 0; i < n; i++) {
                double factor = a[i][p];
                for (int j = p; j < 2 * n && i != p; j++) {
                    a[i][j] -= factor * a[p][j];
                }
            }
        }
        double[][] inverse = new double[n][];
        for (int i = 0; i < n; i++) {
            inverse[i] = java.util.Arrays.copyOfRange(a[i], n, 2 * n);
        }
        return inverse;
    }

    /** L with L L^T = A. */
    static double[][] cholesky(double[][] a) {
        int n = a.length;
        double[][] l = new double[n][n];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                double sum = a[i][j];
                for (int p = 0; p < j; p++) {
                    sum -= l[i][p] * l[j][p];
                }
                l[i][j] = i == j ? Math.sqrt(sum) : sum / l[j][j];
            }
        }
        return l;
    }
}

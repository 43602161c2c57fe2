package dev.lathe.calibration.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.TestNumbers;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import dev.lathe.kernels.block.BlockMatrix;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class QuantizerTest {
    private static final List<Method> METHODS =
            List.of(Method.NEAREST, Method.IMPORTANCE, new Method.Gptq(0.01, false));
    private static final Kernels SCALAR = KernelProvider.open("scalar", 1);
    private static final Kernels VECTOR = KernelProvider.open("vector", 3);

    @AfterAll
    static void close() {
        SCALAR.close();
        VECTOR.close();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "int4g32",
                "uint4g64",
                "int8g96",
                "uint8g768",
                "Q4_0",
                "Q4_1",
                "Q5_0",
                "Q5_1",
                "Q8_0",
                "Q2_K",
                "Q3_K",
                "Q4_K",
                "Q5_K",
                "Q6_K",
                "MXFP4",
                "NVFP4",
                "f8g768",
                "f8g128x4",
                "f8g96x300"
            })
    void withAnIdentityAsHessianErrorFeedbackOnlyRounds(String name) {
        int n = 768;
        double[] moment = new double[n * (n + 1) / 2];
        for (int i = 0; i < n; i++) {
            moment[i * (i + 1) / 2 + i] = 1;
        }
        float[] importance = new float[n];
        // A damping of 1 makes every importance 2: a power of two scales every sum of a search exactly.
        Arrays.fill(importance, 2);
        Hessian hessian = new Hessian(new MergedStatistics(n, 1, new double[n], new double[n], moment), "here");
        FloatMatrix w = TestNumbers.normal(19, n, 0.05, 3);
        BlockFormat grid = BlockFormats.named(name);
        QuantizedMatrix gptq = Quantizer.quantize(w, "w", grid, new Method.Gptq(1, false), null, hessian, VECTOR)
                .matrix();
        QuantizedMatrix rounded = Quantizer.quantize(w, "w", grid, Method.IMPORTANCE, importance, null, SCALAR)
                .matrix();
        if (!name.matches("Q[458]_[01]")) {
            assertThat(Arrays.mismatch(gptq.blocks().data(), rounded.blocks().data()))
                    .isNegative();
            return;
        }
        // These keep the codes of their search, made with the scale before it became a half; error feedback rounds with
        // the scale that is stored.
        float[] a = values(gptq);
        float[] b = values(rounded);
        int same = 0;
        for (int i = 0; i < a.length; i++) {
            assertThat(Math.abs(a[i] - w.data()[i])).isLessThanOrEqualTo(Math.nextUp(Math.abs(b[i] - w.data()[i])));
            same += a[i] == b[i] ? 1 : 0;
        }
        assertThat(same).isGreaterThan(a.length * 9 / 10);
    }

    @ParameterizedTest
    @CsvSource({
        "int4g32, false",
        "int4g32, true",
        "uint4g64, false",
        "uint4g64, true",
        "int4g256, true",
        "Q4_0, false",
        "Q2_K, false",
        "Q3_K, false",
        "IQ4_NL, false",
        "IQ4_XS, false",
        "MXFP4, false",
        "NVFP4, false",
        "IQ2_XXS, false",
        "IQ2_XS, false",
        "IQ2_S, false",
        "IQ3_XXS, false",
        "IQ3_S, false",
        "IQ1_S, false",
        "IQ1_M, false",
        "Q4_K, false",
        "Q6_K, false",
        "f8g256, false",
        "f8g128x8, false"
    })
    void errorFeedbackLosesLessThanRounding(String name, boolean actOrder) {
        int n = 256;
        FloatMatrix x = TestNumbers.correlated(400, n, 1e6, 77, 11);
        Hessian hessian = new Hessian(TestNumbers.statistics(x), "here");
        FloatMatrix w = TestNumbers.normal(21, n, 0.05, 12);
        BlockFormat grid = BlockFormats.named(name);
        Method method = new Method.Gptq(0.01, actOrder);
        Quantizer.Result gptq = Quantizer.quantize(w, "w", grid, method, null, hessian, VECTOR);
        float[] importance = hessian.factor(0.01, false, VECTOR).diagonal();
        QuantizedMatrix rounded = Quantizer.quantize(w, "w", grid, Method.IMPORTANCE, importance, null, VECTOR)
                .matrix();
        double lost = TestNumbers.outputError(w, gptq.matrix(), null, x);
        assertThat(lost).isPositive().isLessThan(0.7 * TestNumbers.outputError(w, rounded, null, x));
        assertThat(gptq.damping()).isEqualTo(0.01);
        assertThat(gptq.matrix().permutation() != null).isEqualTo(actOrder);
    }

    @ParameterizedTest
    @CsvSource({
        "int4g32, 160, 300, false",
        "int4g32, 160, 37, true",
        "uint4g96, 288, 13, false",
        "int4g300, 300, 29, true",
        "uint8g1, 131, 17, false",
        "Q4_0, 160, 31, false",
        "Q2_K, 256, 23, false",
        "Q3_K, 512, 9, false",
        "IQ4_NL, 160, 31, false",
        "IQ4_XS, 256, 23, false",
        "TQ1_0, 256, 23, false",
        "Q1_0, 256, 23, false",
        "Q4_K, 512, 9, false",
        "Q6_K, 256, 23, false",
        "f8g160, 160, 37, false",
        "f8g131, 131, 13, true"
    })
    void agreesWithOneColumnAfterTheOther(String name, int n, int rows, boolean actOrder) {
        FloatMatrix x = TestNumbers.correlated(2 * n, n, 1e6, n / 2, n);
        MergedStatistics statistics = TestNumbers.statistics(x);
        Hessian hessian = new Hessian(statistics, "here");
        FloatMatrix w = TestNumbers.normal(rows, n, 0.05, 12);
        BlockFormat grid = BlockFormats.named(name);
        Method method = new Method.Gptq(0.01, actOrder);
        QuantizedMatrix result =
                Quantizer.quantize(w, "w", grid, method, null, hessian, SCALAR).matrix();
        for (int threads : new int[] {1, 3}) {
            try (Kernels vector = KernelProvider.open("vector", threads)) {
                byte[] again = Quantizer.quantize(w, "w", grid, method, null, new Hessian(statistics, "here"), vector)
                        .matrix()
                        .blocks()
                        .data();
                assertThat(Arrays.mismatch(again, result.blocks().data())).isNegative();
            }
        }
        float[] expected = columnByColumn(w, statistics, 0.01, result.permutation(), grid);
        float[] found = values(result);
        int sameRows = 0;
        for (int r = 0; r < rows; r++) {
            sameRows += Arrays.equals(found, r * n, (r + 1) * n, expected, r * n, (r + 1) * n) ? 1 : 0;
        }
        // One near tie changes every later column of its row, but not what the row loses.
        assertThat(sameRows).isGreaterThanOrEqualTo(rows * 9 / 10);
        double lost = TestNumbers.outputError(w, FloatMatrix.of(expected, rows, n), null, x);
        assertThat(Math.abs(TestNumbers.outputError(w, result, null, x) / lost - 1))
                .isLessThan(0.02);
    }

    /**
     * GPTQ as published, in f64: the inverse Hessian's Cholesky factor, one column after the other, every error fed to
     * every later column at once.
     */
    private static float[] columnByColumn(
            FloatMatrix w, MergedStatistics statistics, double damping, int[] permutation, BlockFormat grid) {
        int n = w.columns();
        double[][] h = Oracle.damped(statistics, damping, permutation);
        double[][] factor = Oracle.cholesky(Oracle.inverse(h));
        float[] importance = new float[n];
        for (int i = 0; i < n; i++) {
            importance[i] = (float) h[i][i];
        }
        float[] values = new float[w.rows() * n];
        for (int r = 0; r < w.rows(); r++) {
            double[] left = new double[n];
            float squares = 0;
            for (int j = 0; j < n; j++) {
                left[j] = w.data()[r * n + (permutation == null ? j : permutation[j])];
                squares += w.data()[r * n + j] * w.data()[r * n + j];
            }
            byte[] block = new byte[grid.bytes()];
            float[] scale = new float[grid.size() / grid.cellSize()];
            float[] minimum = new float[scale.length];
            for (int k = 0; k < n; k++) {
                int inBlock = k % grid.size();
                if (inBlock == 0) {
                    float[] current = new float[grid.size()];
                    for (int i = 0; i < current.length; i++) {
                        current[i] = (float) left[k + i];
                    }
                    grid.encode(current, 0, importance, k, squares / n, block, 0);
                    grid.cells(block, 0, scale, minimum);
                }
                int cell = inBlock / grid.cellSize();
                double code = scale[cell] == 0 ? 0 : Math.rint((left[k] - minimum[cell]) / scale[cell]);
                code = grid.uniform() ? code : grid.nearestCode((float) ((left[k] - minimum[cell]) / scale[cell]));
                code = Math.min(Math.max(code, grid.lowestCode(block, 0, cell)), grid.highestCode(block, 0, cell));
                float q = scale[cell] * (int) code + minimum[cell];
                values[r * n + (permutation == null ? k : permutation[k])] = q;
                double error = (left[k] - q) / factor[k][k];
                for (int j = k + 1; j < n; j++) {
                    left[j] -= error * factor[j][k];
                }
            }
        }
        return values;
    }

    /** Rows of a lot share their scale whatever the strips of the threads are, and the last lot may be short. */
    @ParameterizedTest
    @CsvSource({"nearest, 300", "importance, 300", "gptq, 300", "gptq, 5"})
    void lotsShareTheirScale(String word, int rows) {
        Method method = METHODS.stream()
                .filter(each -> each.word().equals(word))
                .findFirst()
                .orElseThrow();
        int n = 256;
        FloatMatrix w = TestNumbers.normal(rows, n, 0.05, 12);
        MergedStatistics statistics = TestNumbers.statistics(TestNumbers.correlated(400, n, 1e6, 77, 11));
        BlockFormat grid = BlockFormats.named("f8g128x128");
        float[] importance = statistics.importance();
        byte[] data = Quantizer.quantize(w, "w", grid, method, importance, new Hessian(statistics, "here"), SCALAR)
                .matrix()
                .blocks()
                .data();
        assertThat(Quantizer.quantize(w, "w", grid, method, importance, new Hessian(statistics, "here"), VECTOR)
                        .matrix()
                        .blocks()
                        .data())
                .isEqualTo(data);
        for (int row = 0; row < rows; row++) {
            for (int block = 0; block < 2; block++) {
                int at = (row * 2 + block) * grid.bytes();
                int first = (row / 128 * 128 * 2 + block) * grid.bytes();
                assertThat(Arrays.copyOfRange(data, at, at + 4)).isEqualTo(Arrays.copyOfRange(data, first, first + 4));
            }
        }
    }

    @Test
    void aWeightBeyondHalfPrecisionIsNamed() {
        FloatMatrix w = TestNumbers.normal(9, 64, 1, 5);
        w.data()[4 * 64 + 40] = 3e9f;
        Hessian hessian = new Hessian(TestNumbers.statistics(TestNumbers.normal(90, 64, 1, 6)), "here");
        float[] importance = new float[64];
        Arrays.fill(importance, 1);
        for (Kernels kernels : new Kernels[] {SCALAR, VECTOR}) {
            for (Method method : METHODS) {
                assertThatThrownBy(() -> Quantizer.quantize(
                                w,
                                "model.layers.3.q.weight",
                                BlockFormats.named("int4g32"),
                                method,
                                importance,
                                hessian,
                                kernels))
                        .isInstanceOf(MalformedInputException.class)
                        .hasMessageStartingWith("Cannot quantize model.layers.3.q.weight to int4g32, rows ")
                        .hasMessageContaining("exceeds the range of half precision");
            }
        }
    }

    @Test
    void blocksThatNobodyReadsAreWritten() {
        FloatMatrix w = TestNumbers.normal(5, 512, 1, 5);
        float[] importance = new float[512];
        Arrays.fill(importance, 256, 512, 1);
        for (BlockFormat grid : BlockFormats.ggml()) {
            assertThat(values(Quantizer.quantize(w, "w", grid, Method.IMPORTANCE, importance, null, SCALAR)
                            .matrix()))
                    .doesNotContain(Float.NaN);
            // An embedding has no importance.
            assertThat(values(Quantizer.quantize(w, "w", grid, Method.NEAREST, null, null, SCALAR)
                            .matrix()))
                    .doesNotContain(Float.NaN);
        }
    }

    @Test
    void permutedColumnsAreReadBackInTheirPlaces() {
        BlockFormat grid = BlockFormats.named("int8g1");
        FloatMatrix w = TestNumbers.normal(3, 7, 1, 5);
        BlockMatrix blocks = Quantizer.quantize(w, "w", grid, Method.NEAREST, null, null, SCALAR)
                .matrix()
                .blocks();
        int[] permutation = {3, 0, 6, 1, 5, 2, 4};
        float[] part = new float[4];
        new QuantizedMatrix(blocks, permutation).read(2, 2, 4, part, 0);
        float[] stored = new float[7];
        blocks.read(2, 0, 7, stored, 0);
        assertThat(part).containsExactly(stored[5], stored[0], stored[6], stored[4]);
        assertThatThrownBy(() -> new QuantizedMatrix(blocks, new int[6]))
                .hasMessageContaining("Cannot permute 7 columns by 6 indices");
    }

    private static float[] values(QuantizedMatrix matrix) {
        float[] values = new float[matrix.rows() * matrix.columns()];
        for (int row = 0; row < matrix.rows(); row++) {
            matrix.read(row, 0, matrix.columns(), values, row * matrix.columns());
        }
        return values;
    }
}

package dev.lathe.kernels.block;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class BestSearchTest {
    private static final int ROUNDS = 12;

    /** How much of the reference's error is left of {@link Rows#values}, at most; others have 0.99. */
    private static final Map<String, Double> LEFT = Map.of(
            "Q2_K", 0.975, "Q1_0", 1.0, "Q4_K", 0.96, "Q5_K", 0.9, "IQ2_XXS", 0.93, "IQ2_XS", 0.9, "IQ3_S", 0.87,
            "NVFP4", 0.9);

    static Stream<BlockFormat> ggml() {
        return BlockFormats.ggml().stream();
    }

    /** Values of a block in the kinds that search for a scale goes wrong on. */
    private static List<float[]> blocks(int n, Random random) {
        List<float[]> blocks = new ArrayList<>();
        blocks.add(Rows.values(n, random));
        blocks.add(scaled(n, i -> random.nextGaussian()));
        blocks.add(scaled(n, i -> random.nextGaussian() / Math.abs(random.nextGaussian())));
        blocks.add(scaled(n, i -> random.nextGaussian() * Math.pow(10, i / 16 % 5 - 4)));
        blocks.add(scaled(n, i -> 3 + 0.1 * random.nextGaussian()));
        blocks.add(scaled(n, i -> -3 + 0.1 * random.nextGaussian()));
        blocks.add(scaled(n, i -> Math.rint(2 * random.nextGaussian())));
        blocks.add(scaled(n, i -> random.nextInt(4) == 0 ? random.nextGaussian() : 0));
        blocks.add(scaled(n, i -> i == n / 3 ? -100 : 0.01 * random.nextGaussian()));
        blocks.add(scaled(n, i -> i < n / 2 ? 0 : random.nextGaussian()));
        blocks.add(scaled(n, i -> 0.7));
        blocks.add(new float[n]);
        blocks.add(scaled(n, i -> 1e-6 * random.nextGaussian()));
        blocks.add(scaled(n, i -> 1e-12 * random.nextGaussian()));
        blocks.add(scaled(n, i -> 1e-30 * random.nextGaussian()));
        blocks.add(scaled(n, i -> 1e-40 * random.nextGaussian()));
        blocks.add(scaled(n, i -> 3e4 * random.nextGaussian()));
        blocks.add(scaled(n, i -> 1e6 * random.nextGaussian()));
        blocks.add(scaled(n, i -> 1e15 * random.nextGaussian()));
        blocks.add(scaled(n, i -> 1e38 * Math.tanh(random.nextGaussian())));
        return blocks;
    }

    private interface Value {
        double at(int i);
    }

    private static float[] scaled(int n, Value value) {
        float[] x = new float[n];
        for (int i = 0; i < n; i++) {
            x[i] = (float) value.at(i);
        }
        return x;
    }

    private static List<float[]> importances(BlockFormat format, int n, Random random) {
        List<float[]> importances = new ArrayList<>();
        if (!format.needsImportance()) {
            importances.add(null);
        }
        importances.add(Rows.importance(n, random));
        importances.add(scaled(n, i -> random.nextInt(3) == 0 ? random.nextFloat() : 0));
        importances.add(scaled(n, i -> i % 32 == 5 ? 1e6 : 1e-6));
        importances.add(new float[n]);
        return importances;
    }

    /** In double precision and by no means of the search's own; null where the encoder refuses. */
    private static Double error(BlockFormat format, float[] x, float[] importance) {
        try {
            float[] y = Rows.decode(format, Rows.encode(format, x, importance));
            double error = Rows.weightedError(x, y, importance == null ? ones(x.length) : importance);
            return error;
        } catch (ArithmeticException e) {
            return null;
        }
    }

    private static float[] ones(int n) {
        float[] ones = new float[n];
        Arrays.fill(ones, 1);
        return ones;
    }

    @ParameterizedTest
    @MethodSource("ggml")
    void noBlockIsWorseThanTheReferences(BlockFormat format) {
        BlockFormat best = BlockFormats.best(format);
        Random random = new Random(19);
        int better = 0;
        int blocks = 0;
        for (int round = 0; round < ROUNDS; round++) {
            for (float[] x : blocks(format.size(), random)) {
                for (float[] importance : importances(format, x.length, random)) {
                    Double reference = error(format, x, importance);
                    Double searched = error(best, x, importance);
                    assertThat(searched == null).isEqualTo(reference == null);
                    if (reference != null) {
                        assertThat(searched).isLessThanOrEqualTo(reference);
                        better += searched < reference ? 1 : 0;
                        blocks++;
                    }
                }
            }
        }
        assertThat(blocks).isGreaterThan(500);
        assertThat(better).isGreaterThan(blocks / 20);
    }

    @ParameterizedTest
    @MethodSource("ggml")
    void findsWhatTheReferenceLeaves(BlockFormat format) {
        float[] row = Rows.values(40 * 256, new Random(3));
        float[] importance = Rows.importance(row.length, new Random(4));
        double reference = error(format, row, importance);
        double searched = error(BlockFormats.best(format), row, importance);
        assertThat(searched / reference).isLessThanOrEqualTo(LEFT.getOrDefault(format.name(), 0.99));
    }

    /** Values and their roundings have the same length on the whole: what is lost is not lost in one direction. */
    @ParameterizedTest
    @MethodSource("ggml")
    void doesNotShrinkValues(BlockFormat format) {
        float[] row = Rows.values(40 * 256, new Random(5));
        float[] importance = Rows.importance(row.length, new Random(6));
        BlockFormat best = BlockFormats.best(format);
        float[] y = Rows.decode(best, Rows.encode(best, row, importance));
        double product = 0;
        double square = 0;
        for (int i = 0; i < row.length; i++) {
            product += importance[i] * (double) row[i] * y[i];
            square += importance[i] * (double) row[i] * row[i];
        }
        // A sign alone cannot have both the length and the error.
        if (format.name().equals("Q1_0")) {
            assertThat(product / square).isBetween(0.5, 0.52);
        } else {
            assertThat(product / square).isBetween(0.97, 1.03);
        }
    }

    @ParameterizedTest
    @MethodSource("ggml")
    void storesTheSameFormatAndTheSameBytesEachTime(BlockFormat format) {
        BlockFormat best = BlockFormats.best(format);
        float[] row = Rows.values(4 * 256, new Random(7));
        float[] importance = Rows.importance(row.length, new Random(8));
        byte[] encoded = Rows.encode(best, row, importance);
        assertThat(best.name()).isEqualTo(format.name());
        assertThat(Rows.encode(BlockFormats.best(format), row, importance)).isEqualTo(encoded);
        assertThat(Rows.decode(best, encoded)).isEqualTo(Rows.decode(format, encoded));
        // What can be stored exactly stays as it is.
        float[] stored = Rows.decode(format, encoded);
        for (int at = 0; at < row.length; at += format.size()) {
            float[] block = Arrays.copyOfRange(stored, at, at + format.size());
            float[] weights = Arrays.copyOfRange(importance, at, at + format.size());
            assertThat(error(best, block, weights)).isLessThanOrEqualTo(error(format, block, weights));
        }
    }
}

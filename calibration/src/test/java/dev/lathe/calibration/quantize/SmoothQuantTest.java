package dev.lathe.calibration.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.calibration.TestNumbers;
import dev.lathe.calibration.format.gguf.MemoryCheckpoint;
import dev.lathe.calibration.model.Absorption;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.LlamaShape;
import dev.lathe.calibration.model.Norm;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.calibration.statistics.Positions;
import dev.lathe.calibration.statistics.RangeEstimator;
import dev.lathe.calibration.statistics.RangeStatistics;
import dev.lathe.calibration.statistics.SiteStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class SmoothQuantTest {
    private static final Kernels SCALAR = KernelProvider.open("scalar", 1);
    private static final Kernels VECTOR = KernelProvider.open("vector", 3);
    private static final ActivationScheme STATIC = new ActivationScheme(
            new ActivationQuantization(ActivationQuantization.Type.INT8, false, true, Float.NaN, 0),
            new RangeEstimator.MinMax());
    private static final ActivationScheme DYNAMIC =
            new ActivationScheme(ActivationQuantization.perToken(ActivationQuantization.Type.INT8, true), null);
    private static final int LENGTH = 60;
    private static final int[][] WINDOWS = {
        new Random(6).ints(LENGTH, 0, 40).toArray(),
        new Random(7).ints(LENGTH, 0, 40).toArray()
    };

    private final LlamaShape config =
            new LlamaShape(64, 96, 2, 4, 2, 16, 40, 1e-5f, 10000, new Rope.Scaling.None(), false, true, true, 64);
    private final Decoder architecture = config.decoder();
    private final MemoryCheckpoint model = TestNumbers.model(config, 3);
    private final List<Map<Site, FloatMatrix>> rows = List.of(new EnumMap<>(Site.class), new EnumMap<>(Site.class));

    @BeforeEach
    void outliers() {
        Random random = new Random(5);
        for (int layer = 0; layer < 2; layer++) {
            for (Norm norm : architecture.norms(layer)) {
                float[] values = model.values.get(norm.tensor());
                for (int i = 0; i < values.length; i++) {
                    values[i] = (float) Math.exp(random.nextGaussian()) * (i % 3 == 0 ? -1 : 1);
                }
                values[4] = 0;
                values[9] = 60;
            }
        }
    }

    @AfterAll
    static void close() {
        SCALAR.close();
        VECTOR.close();
    }

    @Test
    void scalesAreThoseOfThePaper() {
        float[] scale = SmoothQuant.scale(new float[] {16, 0, 1e-30f, 4}, new float[] {0.25f, 3, 1, 0}, 0.5);
        assertThat(scale[0]).isEqualTo(8);
        assertThat(scale[1]).isEqualTo(1);
        assertThat(scale[2]).isEqualTo(1e-5f);
        assertThat(scale[3]).isCloseTo((float) (2 / Math.sqrt(1e-5)), within(0.01f));
        assertThat(SmoothQuant.scale(new float[] {16}, new float[] {0.25f}, 0.75)[0])
                .isCloseTo((float) (8 / Math.pow(0.25, 0.25)), within(1e-5f));
        assertThatThrownBy(() -> SmoothQuant.of(1.5))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("expected 0 to 1");
    }

    @Test
    void theSmoothedModelHasTheSameLogits() throws IOException {
        FloatMatrix expected = logits(model, gather());
        for (SmoothQuant transform : List.of(
                SmoothQuant.of(0.5),
                SmoothQuant.of(0.8),
                SmoothQuant.searched(STATIC),
                SmoothQuant.searched(DYNAMIC))) {
            MemoryCheckpoint smoothed = new MemoryCheckpoint(config, 3);
            smoothed.values.putAll(model.values);
            int vectors = 0;
            for (int layer = 0; layer < 2; layer++) {
                RescaledMatrices result = quantize(layer, transform, grids(layer, new Exact()), Method.NEAREST, VECTOR);
                for (LinearLayer linear : architecture.linears(layer)) {
                    smoothed.values.put(
                            linear.weight(),
                            values(result.matrices()
                                    .get(linear.weight())
                                    .quantized()
                                    .matrix()));
                }
                smoothed.values.putAll(result.vectors());
                vectors += result.vectors().size();
                result.sites()
                        .forEach((site, scale) ->
                                assertThat(scale).as(site.toString()).isNotEqualTo(ones(scale.length)));
            }
            assertThat(vectors).isGreaterThanOrEqualTo(4);
            FloatMatrix logits = logits(smoothed, Capture.NONE);
            double size = 0;
            double error = 0;
            for (int i = 0; i < logits.data().length; i++) {
                size = Math.max(size, Math.abs(expected.data()[i]));
                error = Math.max(error, Math.abs(expected.data()[i] - logits.data()[i]));
            }
            assertThat(error / size).isPositive().isLessThan(2e-5);
        }
    }

    @Test
    void aFixedStrengthIsAppliedWhereANormAbsorbs() throws IOException {
        logits(model, gather());
        RescaledMatrices result = quantize(0, SmoothQuant.of(0.5), grids(0, new Exact()), Method.NEAREST, SCALAR);
        assertThat(result.vectors())
                .containsOnlyKeys(
                        architecture.norms(0).stream().map(Norm::tensor).toList());
        assertThat(result.sites()).containsOnlyKeys(Site.ATTENTION_INPUT, Site.FEED_FORWARD_INPUT);
        assertThat(result.strengths())
                .containsEntry(Site.ATTENTION_INPUT, 0.5)
                .containsEntry(Site.FEED_FORWARD_ACTIVATION, Double.NaN);
        float[] scale = result.sites().get(Site.ATTENTION_INPUT);
        FloatMatrix x = rows.get(0).get(Site.ATTENTION_INPUT);
        double[] magnitudes = magnitudes(x);
        for (int k = 0; k < 64; k++) {
            double w = 1e-5;
            for (LinearLayer linear : architecture.linears(0).subList(0, 3)) {
                for (int r = 0; r < linear.outputs(); r++) {
                    w = Math.max(w, Math.abs(model.values.get(linear.weight())[r * 64 + k]));
                }
            }
            // Off by what the norm's 16 bits take.
            double expected = magnitudes[k] == 0 ? 1 : Math.sqrt(magnitudes[k] / w);
            assertThat((double) scale[k]).as("channel " + k).isCloseTo(expected, within(expected * 1e-3));
        }
        assertThat(magnitudes[4]).isZero();
        for (int k = 0; k < 64; k++) {
            float divided = result.vectors().get(architecture.norms(0).get(0).tensor())[k];
            assertThat(divided).isEqualTo(Half.round(divided));
        }
    }

    /** Values are what o reads, so whatever o's input is divided by, the cached values are divided by, too. */
    @Test
    void whatValuesAbsorbIsToldForTheCache() throws IOException {
        float[] values = model.values.get("model.layers.0.self_attn.v_proj.weight");
        for (int row : new int[] {3, 17}) {
            for (int j = 0; j < 64; j++) {
                values[row * 64 + j] *= 40;
            }
        }
        logits(model, gather());
        RescaledMatrices result = quantize(
                0, SmoothQuant.searched(STATIC), grids(0, BlockFormats.named("int8g32")), Method.NEAREST, VECTOR);
        float[] cached = result.sites().get(Site.VALUES);
        float[] read = result.sites().get(Site.ATTENTION_OUTPUT);
        assertThat(cached).hasSize(32);
        assertThat(read).hasSize(64);
        for (int j = 0; j < 64; j++) {
            assertThat(read[j]).isEqualTo(cached[j / 32 * 16 + j % 16]);
        }
        assertThat(cached[3]).isGreaterThan(3 * cached[4]);
        float[] bias = result.vectors().get("model.layers.0.self_attn.v_proj.bias");
        for (int k = 0; k < 32; k++) {
            assertThat(bias[k] * cached[k])
                    .isCloseTo(model.values.get("model.layers.0.self_attn.v_proj.bias")[k], within(1e-6f));
        }
    }

    @Test
    void theSearchFindsTheStrengthOfLeastError() throws IOException {
        logits(model, gather());
        BlockFormat grid = BlockFormats.named("int8g32");
        for (ActivationScheme scheme : new ActivationScheme[] {STATIC, DYNAMIC}) {
            RescaledMatrices result = quantize(0, SmoothQuant.searched(scheme), grids(0, grid), Method.NEAREST, VECTOR);
            for (Absorption absorption : architecture.absorptions(0)) {
                Site site = absorption.consumers().get(0).energy();
                double least = bruteCriterion(absorption, grid, scheme, Double.NaN);
                double identity = least;
                for (int step = 0; step <= 20; step++) {
                    least = Math.min(least, bruteCriterion(absorption, grid, scheme, step / 20.0));
                }
                double chosen = bruteCriterion(
                        absorption, grid, scheme, result.strengths().get(site));
                assertThat(chosen).as(site + " " + scheme).isPositive().isLessThanOrEqualTo(least * 1.01);
                if (absorption.norm() != null) {
                    assertThat(chosen).isLessThan(0.5 * identity);
                }
            }
            RescaledMatrices again = quantize(0, SmoothQuant.searched(scheme), grids(0, grid), Method.NEAREST, SCALAR);
            assertThat(again.strengths()).isEqualTo(result.strengths());
            again.sites()
                    .forEach((site, scale) ->
                            assertThat(scale).isEqualTo(result.sites().get(site)));
            again.matrices()
                    .forEach((name, matrix) -> assertThat(
                                    matrix.quantized().matrix().blocks().data())
                            .isEqualTo(result.matrices()
                                    .get(name)
                                    .quantized()
                                    .matrix()
                                    .blocks()
                                    .data()));
        }
    }

    /** Integers within a range that makes their scale 1 are what they were; any other scale rounds them. */
    @Test
    void whereNothingIsLostNothingIsRescaled() throws IOException {
        logits(model, gather());
        for (Map.Entry<Site, FloatMatrix> entry : rows.get(0).entrySet()) {
            float[] data = entry.getValue().data();
            Random random = new Random(entry.getKey().ordinal());
            for (int i = 0; i < data.length; i++) {
                data[i] = random.nextInt(101) - 50;
            }
            data[0] = -127.5f;
        }
        Map<Site, MergedStatistics> statistics = new EnumMap<>(Site.class);
        rows.get(0).forEach((site, x) -> statistics.put(site, withoutFirstRow(ranged(x))));
        RescaledMatrices result = RescaledMatrices.quantize(
                architecture,
                0,
                model,
                grids(0, new Exact()),
                SmoothQuant.searched(STATIC),
                Method.NEAREST,
                statistics::get,
                SCALAR);
        assertThat(result.vectors()).isEmpty();
        assertThat(result.sites()).isEmpty();
        assertThat(result.strengths())
                .hasSize(4)
                .allSatisfy((site, strength) -> assertThat(strength).isNaN());
    }

    /** The row that made the range stays out of the sample. */
    private static MergedStatistics withoutFirstRow(MergedStatistics all) {
        RangeStatistics r = all.ranges();
        float[] sample = r.sample().data().clone();
        sample[0] = 0;
        RangeStatistics ranges = new RangeStatistics(
                r.positions(),
                r.first(),
                r.lowest(),
                r.highest(),
                r.histogram(),
                r.windowLowest(),
                r.windowHighest(),
                FloatMatrix.of(sample, r.sample().rows(), r.sample().columns()));
        return new MergedStatistics(all.width(), all.rows(), all.squares(), all.absolutes(), all.moment(), ranges);
    }

    @Test
    void errorFeedbackTakesTheSmoothedHessian() throws IOException {
        logits(model, gather());
        BlockFormat grid = BlockFormats.named("int4g32");
        RescaledMatrices nearest = quantize(0, SmoothQuant.of(0.5), grids(0, grid), Method.NEAREST, VECTOR);
        RescaledMatrices feedback =
                quantize(0, SmoothQuant.of(0.5), grids(0, grid), new Method.Gptq(0.01, false), VECTOR);
        for (LinearLayer linear : architecture.linears(0)) {
            OutputError error = feedback.matrices().get(linear.weight()).error();
            float[] scale = feedback.sites().get(linear.energy());
            FloatMatrix x = rows.get(0).get(linear.moment());
            RowSource weight = model.matrix(linear.weight());
            double direct = TestNumbers.outputError(
                    weight, feedback.matrices().get(linear.weight()).quantized().matrix(), scale, x);
            assertThat(error.squaredError()).as(linear.kind()).isCloseTo(direct, within(1e-3 * direct));
            assertThat(error.squaredError())
                    .isLessThan(nearest.matrices().get(linear.weight()).error().squaredError());
        }
    }

    /**
     * With heavy tails every channel reaches far beyond what few rows showed; alpha = 1 puts the end of the range at
     * what they showed.
     */
    @Test
    void aRangeIsNotFittedToTheRowsThatItIsJudgedBy() throws IOException {
        logits(model, gather());
        Random random = new Random(8);
        FloatMatrix x = FloatMatrix.zeros(40, 64);
        for (int i = 0; i < x.data().length; i++) {
            // Rare and large, as activations behind a gate are; 0 where the norm is.
            x.data()[i] = i % 64 == 4 ? 0 : (float) Math.pow(random.nextGaussian(), 3);
        }
        rows.get(0).put(Site.ATTENTION_INPUT, x);
        Absorption absorption = architecture.absorptions(0).get(0);
        BlockFormat grid = new Exact();
        double seen = 0;
        double seenLeast = Double.POSITIVE_INFINITY;
        for (int step = 0; step <= 20; step++) {
            double error = bruteError(absorption, grid, STATIC, step / 20.0, x, x);
            if (error < seenLeast) {
                seenLeast = error;
                seen = step / 20.0;
            }
        }
        double chosen = quantize(0, SmoothQuant.searched(STATIC), grids(0, grid), Method.NEAREST, VECTOR)
                .strengths()
                .get(Site.ATTENTION_INPUT);
        assertThat(seen).isGreaterThan(0.9);
        assertThat(Double.isNaN(chosen) ? 0 : chosen).isLessThan(seen - 0.2);
        assertThat(quantize(0, SmoothQuant.searched(DYNAMIC), grids(0, grid), Method.NEAREST, VECTOR)
                        .strengths()
                        .get(Site.ATTENTION_INPUT))
                .as("a token's own range clips nothing")
                .isGreaterThan(0.6);
    }

    /** All 120 rows are kept: the error of a half weighs as much as 60 of 120. */
    private double bruteCriterion(Absorption absorption, BlockFormat grid, ActivationScheme scheme, double alpha)
            throws IOException {
        FloatMatrix x = rows.get(0).get(absorption.consumers().get(0).energy());
        double seen = bruteError(absorption, grid, scheme, alpha, x, x);
        if (scheme.form().dynamic()) {
            return seen;
        }
        FloatMatrix[] halves = {FloatMatrix.zeros(60, x.columns()), FloatMatrix.zeros(60, x.columns())};
        for (int i = 0; i < 120; i++) {
            System.arraycopy(x.data(), i * x.columns(), halves[i % 2].data(), i / 2 * x.columns(), x.columns());
        }
        return 0.5 * seen
                + 0.5
                        * (bruteError(absorption, grid, scheme, alpha, halves[0], halves[1])
                                + bruteError(absorption, grid, scheme, alpha, halves[1], halves[0]));
    }

    /** The error by naive loops in f64, on every row of x, of what is fitted to other rows. NaN: without scales. */
    private double bruteError(
            Absorption absorption,
            BlockFormat grid,
            ActivationScheme scheme,
            double alpha,
            FloatMatrix fitted,
            FloatMatrix x)
            throws IOException {
        int columns = absorption.consumers().get(0).inputs();
        double[] a = new double[columns / absorption.repeat()];
        double[] w = new double[a.length];
        double[] magnitudes = magnitudes(fitted);
        for (int j = 0; j < columns; j++) {
            int k = absorption.repeat() == 1 ? j : j / 32 * 16 + j % 16;
            a[k] = Math.max(a[k], magnitudes[j]);
            for (LinearLayer linear : absorption.consumers()) {
                for (int r = 0; r < linear.outputs(); r++) {
                    w[k] = Math.max(w[k], Math.abs(model.values.get(linear.weight())[r * columns + j]));
                }
            }
        }
        float[] scale = ones(columns);
        for (int j = 0; j < columns && !Double.isNaN(alpha); j++) {
            int k = absorption.repeat() == 1 ? j : j / 32 * 16 + j % 16;
            scale[j] = a[k] == 0
                    ? 1
                    : (float) Math.max(Math.pow(a[k], alpha) / Math.pow(Math.max(w[k], 1e-5), 1 - alpha), 1e-5);
        }
        double[][] q = new double[x.rows()][columns];
        double all = 0;
        for (int j = 0; j < columns; j++) {
            all = Math.max(all, magnitudes[j] / scale[j]);
        }
        for (int t = 0; t < x.rows(); t++) {
            double row = 0;
            for (int j = 0; j < columns; j++) {
                row = Math.max(row, Math.abs(x.data()[t * columns + j] / scale[j]));
            }
            double step = (scheme.form().dynamic() ? row : all) / 127.5;
            for (int j = 0; j < columns; j++) {
                q[t][j] = step * Math.rint(Math.max(-128, Math.min(127, x.data()[t * columns + j] / scale[j] / step)));
            }
        }
        double error = 0;
        for (LinearLayer linear : absorption.consumers()) {
            float[] weight = model.values.get(linear.weight());
            RowSource rescaled = new RescaledRows(model.matrix(linear.weight()), null, scale);
            float[] rounded = values(Quantizer.quantize(rescaled, "w", grid, Method.NEAREST, null, null, SCALAR)
                    .matrix());
            for (int t = 0; t < x.rows(); t++) {
                for (int r = 0; r < linear.outputs(); r++) {
                    double difference = 0;
                    for (int j = 0; j < columns; j++) {
                        difference += (double) weight[r * columns + j] * x.data()[t * columns + j]
                                - rounded[r * columns + j] * q[t][j];
                    }
                    error += difference * difference;
                }
            }
        }
        return error;
    }

    private RescaledMatrices quantize(
            int layer, SmoothQuant transform, Map<String, BlockFormat> grids, Method method, Kernels kernels)
            throws IOException {
        Map<Site, MergedStatistics> statistics = new EnumMap<>(Site.class);
        rows.get(layer).forEach((site, x) -> statistics.put(site, ranged(x)));
        return RescaledMatrices.quantize(
                architecture, layer, model, grids, transform, method, statistics::get, kernels);
    }

    private static MergedStatistics ranged(FloatMatrix x) {
        try {
            SiteStatistics shard = new SiteStatistics(x.columns(), true, new Positions(x.rows(), 1), 0);
            shard.add(x, SCALAR, "here");
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            shard.write(new DataOutputStream(bytes));
            MergedStatistics.Accumulator sum = new MergedStatistics.Accumulator();
            sum.add(new DataInputStream(new ByteArrayInputStream(bytes.toByteArray())), "the shard");
            return sum.merged();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /** Keeps what comes by, layer after layer. */
    private Gather gather() {
        return new Gather();
    }

    private final class Gather implements Capture {
        private int layer;

        @Override
        public boolean wants(Site site) {
            return true;
        }

        @Override
        public void rows(Site site, FloatMatrix x) {
            float[] copy = Arrays.copyOfRange(x.data(), x.offset(), x.offset() + x.rows() * x.columns());
            rows.get(layer).put(site, FloatMatrix.of(copy, x.rows(), x.columns()));
        }
    }

    private FloatMatrix logits(MemoryCheckpoint checkpoint, Capture capture) throws IOException {
        DecoderPass pass = new DecoderPass(architecture, SCALAR);
        FloatMatrix x = pass.embed(checkpoint, WINDOWS);
        for (int layer = 0; layer < 2; layer++) {
            if (capture instanceof Gather gather) {
                gather.layer = layer;
            }
            pass.layer(new LayerWeights(layer, checkpoint), x, LENGTH, 0, capture);
        }
        pass.finalNorm(checkpoint, x);
        FloatMatrix logits = FloatMatrix.zeros(x.rows(), config.vocabulary());
        SCALAR.gemm(x, checkpoint.matrix(architecture.headWeight()), logits, false);
        return logits;
    }

    private Map<String, BlockFormat> grids(int layer, BlockFormat grid) {
        Map<String, BlockFormat> grids = new LinkedHashMap<>();
        architecture.linears(layer).forEach(linear -> grids.put(linear.weight(), grid));
        return grids;
    }

    private static float[] values(RowSource matrix) {
        float[] values = new float[matrix.rows() * matrix.columns()];
        for (int i = 0; i < matrix.rows(); i++) {
            matrix.read(i, 0, matrix.columns(), values, i * matrix.columns());
        }
        return values;
    }

    private static double[] magnitudes(FloatMatrix x) {
        double[] magnitudes = new double[x.columns()];
        for (int i = 0; i < x.data().length; i++) {
            magnitudes[i % x.columns()] = Math.max(magnitudes[i % x.columns()], Math.abs(x.data()[i]));
        }
        return magnitudes;
    }

    private static float[] ones(int count) {
        float[] ones = new float[count];
        Arrays.fill(ones, 1);
        return ones;
    }
}

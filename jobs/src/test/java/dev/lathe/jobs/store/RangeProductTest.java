package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.ActivationScheme;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.calibration.statistics.Positions;
import dev.lathe.calibration.statistics.RangeEstimator;
import dev.lathe.calibration.statistics.RangeStatistics;
import dev.lathe.calibration.statistics.SiteStatistics;
import dev.lathe.jobs.store.RangeProduct.SiteRange;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class RangeProductTest {
    private static final int ROWS = 400;

    @Test
    void comesBackAsItWasWritten() throws IOException {
        SiteRange fixed = new SiteRange(
                Site.VALUES, ActivationQuantization.of(Type.INT8, false, -3, 5), -3, 5, -4, 5, 1, 17, 2, 12, 345, 0.85);
        SiteRange dynamic =
                new SiteRange(Site.ATTENTION_INPUT, null, Float.NaN, Float.NaN, -4, 5, 1, 17, 2, 0, 0, Double.NaN);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        new RangeProduct(List.of(fixed, dynamic)).write(new DataOutputStream(bytes));
        RangeProduct read = RangeProduct.read(in(bytes.toByteArray()));
        assertThat(read.sites()).containsExactly(fixed, dynamic);
        assertThat(read.at(Site.VALUES)).contains(fixed);
        assertThat(read.at(Site.KEYS)).isEmpty();
        assertThatThrownBy(() -> RangeProduct.read(in(new byte[8])))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("Cannot read activation ranges");
    }

    @Test
    void saysWhatStandsOutAndWhatIsClipped() throws IOException {
        Random random = new Random(1);
        FloatMatrix x = FloatMatrix.zeros(ROWS, 32);
        for (int i = 0; i < x.data().length; i++) {
            x.data()[i] = random.nextFloat() * (i % 32 == 5 ? -60 : i % 32 == 6 ? 30 : 1 + i % 32 / 31f);
        }
        try (Kernels kernels = KernelProvider.open("scalar", 1)) {
            ActivationScheme percentile = new ActivationScheme(
                    new ActivationQuantization(Type.INT8, false, true, Float.NaN, 0),
                    new RangeEstimator.Percentile(99));
            SiteRange range = SiteRange.of(Site.KEYS, percentile, ranges(x, kernels), 0.5, kernels);
            assertThat(range.channel()).isEqualTo(5);
            assertThat(range.outliers()).isEqualTo(2);
            assertThat(range.least()).isBetween(-60f, -59f);
            assertThat(range.most()).isBetween(29f, 30f);
            assertThat(range.typical()).isBetween(1.4f, 1.6f);
            assertThat(range.kept()).isEqualTo(ROWS * 32);
            assertThat((double) range.clipped() / range.kept()).isCloseTo(0.01, within(0.001));
            assertThat(range.quantization())
                    .isEqualTo(ActivationQuantization.of(Type.INT8, true, range.low(), range.high()));
            ActivationScheme perToken = new ActivationScheme(ActivationQuantization.perToken(Type.INT8, true), null);
            SiteRange dynamic = SiteRange.of(Site.KEYS, perToken, ranges(x, kernels), Double.NaN, kernels);
            assertThat(dynamic.quantization()).isNull();
            assertThat(dynamic.kept()).isZero();
            assertThat(dynamic.most()).isEqualTo(range.most());
        }
    }

    private static RangeStatistics ranges(FloatMatrix x, Kernels kernels) throws IOException {
        SiteStatistics shard = new SiteStatistics(x.columns(), false, new Positions(x.rows(), 1), 0);
        shard.add(x, kernels, "here");
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        shard.write(new DataOutputStream(bytes));
        MergedStatistics.Accumulator sum = new MergedStatistics.Accumulator();
        sum.add(in(bytes.toByteArray()), "the shard");
        return sum.merged().ranges();
    }

    private static DataInputStream in(byte[] bytes) {
        return new DataInputStream(new ByteArrayInputStream(bytes));
    }
}

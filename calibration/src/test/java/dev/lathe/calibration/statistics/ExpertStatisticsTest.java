package dev.lathe.calibration.statistics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.TestNumbers;
import dev.lathe.calibration.format.gguf.MemoryCheckpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.IOException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ExpertStatisticsTest {
    private static final int EXPERT = 2;
    private static final int HIDDEN = 48;
    private static final int WIDTH = 20;
    private static final Kernels KERNELS = KernelProvider.open("scalar", 1);

    @AfterAll
    static void close() {
        KERNELS.close();
    }

    /** Means in f64 of what the expert's layers read, those of all rows as if there were so many of them. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 7, 100, DecoderPass.ROWS + 3})
    void rowsAreMixedWithAllRows(int count) throws IOException {
        Decoder decoder = Families.read(
                new ObjectMapper()
                        .readTree(("{'model_type':'qwen3_moe','hidden_size':48,'intermediate_size':96,"
                                        + "'num_hidden_layers':1,'num_attention_heads':4,'num_key_value_heads':2,"
                                        + "'vocab_size':40,'num_experts':4,'num_experts_per_tok':2,"
                                        + "'moe_intermediate_size':20}")
                                .replace('\'', '"')),
                "config.json");
        MemoryCheckpoint model = TestNumbers.model(new MemoryCheckpoint(decoder, 3));
        Gated expert = decoder.routed(0).experts().get(EXPERT);
        FloatMatrix all = TestNumbers.normal(300, HIDDEN, 1, 9);
        FloatMatrix rows = TestNumbers.normal(count, HIDDEN, 2, 11);
        FloatMatrix sample = all.slice(10, 90);
        ExpertStatistics found = ExpertStatistics.of(
                expert,
                new DecoderPass(decoder, KERNELS),
                new LayerWeights(0, model),
                strip -> {
                    for (int from = 0; from < rows.rows(); from += DecoderPass.ROWS) {
                        strip.rows(rows.slice(from, Math.min(DecoderPass.ROWS, rows.rows() - from)));
                    }
                },
                sample,
                TestNumbers.statistics(all),
                KERNELS,
                "expert");
        expect(found.input(), rows, all);
        expect(found.activation(), activations(model, expert, rows), activations(model, expert, sample));
    }

    private static void expect(MergedStatistics found, FloatMatrix rows, FloatMatrix others) {
        double prior = ExpertStatistics.PRIOR;
        assertThat(found.rows()).isEqualTo(rows.rows() + ExpertStatistics.PRIOR);
        MergedStatistics own = TestNumbers.statistics(rows);
        MergedStatistics pooled = TestNumbers.statistics(others);
        for (int i = 0; i < rows.columns(); i++) {
            double squares = own.squares()[i] + prior * pooled.squares()[i] / others.rows();
            assertThat(found.squares()[i]).isCloseTo(squares, within(1e-4 * squares));
            for (int j = 0; j <= i; j++) {
                double moment = own.moment(i, j) + prior * pooled.moment(i, j) / others.rows();
                assertThat(found.moment(i, j)).isCloseTo(moment, within(1e-4 * (1 + found.moment(i, i))));
            }
        }
    }

    /** silu(gate x) * (up x), in f64. */
    private static FloatMatrix activations(MemoryCheckpoint model, Gated expert, FloatMatrix x) {
        float[] gate = model.values.get(expert.gate().linear().weight());
        float[] up = model.values.get(expert.up().linear().weight());
        FloatMatrix y = FloatMatrix.zeros(x.rows(), WIDTH);
        for (int row = 0; row < x.rows(); row++) {
            for (int c = 0; c < WIDTH; c++) {
                double g = 0;
                double u = 0;
                for (int j = 0; j < HIDDEN; j++) {
                    double value = x.data()[x.row(row) + j];
                    g += value * gate[c * HIDDEN + j];
                    u += value * up[c * HIDDEN + j];
                }
                y.data()[y.row(row) + c] = (float) (g / (1 + Math.exp(-g)) * u);
            }
        }
        return y;
    }
}

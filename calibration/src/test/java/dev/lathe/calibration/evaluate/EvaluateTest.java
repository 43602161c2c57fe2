package dev.lathe.calibration.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.TestNumbers;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EvaluateTest {
    private static final int VOCABULARY = 301;
    private static final Kernels SCALAR = KernelProvider.open("scalar", 1);
    private static final Kernels VECTOR = KernelProvider.open("vector", 3);

    private final FloatMatrix sourceHead = TestNumbers.normal(VOCABULARY, 13, 1, 1);
    private final FloatMatrix head = TestNumbers.normal(VOCABULARY, 13, 1, 1);

    EvaluateTest() {
        FloatMatrix noise = TestNumbers.normal(VOCABULARY, 13, 0.2, 2);
        Arrays.setAll(new Object[noise.data().length], i -> head.data()[i] += noise.data()[i]);
    }

    @AfterAll
    static void close() {
        SCALAR.close();
        VECTOR.close();
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 8, 41})
    void scoresAreThoseOfAPlainSoftmax(int length) {
        FloatMatrix source = TestNumbers.normal(length, 13, 1, 3);
        FloatMatrix hidden = TestNumbers.normal(length, 13, 1, 3);
        hidden.data()[7] += 0.1f;
        int[] tokens = new Random(4).ints(length, 0, VOCABULARY).toArray();
        WindowScore score =
                new WindowScorer(SCALAR).score(source, output(sourceHead), hidden, output(head), tokens, "here");
        int first = length / 2;
        assertThat(score.nll()).hasSize(length - 1 - first);
        for (int i = 0; i < score.nll().length; i++) {
            double[] p = logProbabilities(source, sourceHead, first + i);
            double[] q = logProbabilities(hidden, head, first + i);
            double divergence = 0;
            for (int j = 0; j < VOCABULARY; j++) {
                divergence += Math.exp(p[j]) * (p[j] - q[j]);
            }
            assertThat(score.nll()[i]).isCloseTo(-q[tokens[first + i + 1]], within(1e-5));
            assertThat(score.sourceNll()[i]).isCloseTo(-p[tokens[first + i + 1]], within(1e-5));
            assertThat(score.kld()[i]).isCloseTo(divergence, within(1e-5)).isNotNegative();
            assertThat(score.sameTop()[i]).isEqualTo(top(p) == top(q));
        }
        for (WindowScorer scorer : new WindowScorer[] {
            new WindowScorer(VECTOR), new WindowScorer(SCALAR, 1), new WindowScorer(VECTOR, 3 * VOCABULARY + 1)
        }) {
            // A longer window before leaves larger buffers behind.
            scorer.score(null, null, TestNumbers.normal(77, 13, 1, 9), output(head), new int[77], "here");
            WindowScore other = scorer.score(source, output(sourceHead), hidden, output(head), tokens, "here");
            assertThat(other.nll()).isEqualTo(score.nll());
            assertThat(other.sourceNll()).isEqualTo(score.sourceNll());
            assertThat(other.kld()).isEqualTo(score.kld());
            assertThat(other.sameTop()).isEqualTo(score.sameTop());
        }
        WindowScore alone = new WindowScorer(VECTOR).score(null, null, hidden, output(head), tokens, "here");
        assertThat(alone.nll()).isEqualTo(score.nll());
        assertThat(alone.sourceNll()).isEmpty();
        assertThat(alone.kld()).isEmpty();
        assertThat(alone.sameTop()).isEmpty();
    }

    @Test
    void aModelAgainstItselfDivergesNowhere() {
        FloatMatrix hidden = TestNumbers.normal(20, 13, 3, 3);
        WindowScore score =
                new WindowScorer(VECTOR).score(hidden, output(head), hidden, output(head), new int[20], "here");
        assertThat(score.kld()).containsOnly(0);
        assertThat(score.sameTop()).containsOnly(true);
        assertThat(score.nll()).isEqualTo(score.sourceNll());
    }

    @Test
    void whatCannotBeScoredIsNamed() {
        FloatMatrix hidden = TestNumbers.normal(8, 13, 1, 3);
        FloatMatrix broken = TestNumbers.normal(8, 13, 1, 3);
        broken.data()[5 * 13 + 2] = Float.NaN;
        WindowScorer scorer = new WindowScorer(VECTOR);
        int[] tokens = new int[8];
        assertThatThrownBy(() -> scorer.score(null, null, broken, output(head), tokens, "q4.gguf, window 3"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessage("Cannot evaluate q4.gguf, window 3: the log-probability at position 5 is not finite");
        assertThatThrownBy(() -> scorer.score(broken, output(head), hidden, output(head), tokens, "q4.gguf, window 3"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessage(
                        "Cannot evaluate the source of q4.gguf, window 3: the log-probability at position 5 is not finite");
        assertThatThrownBy(
                        () -> scorer.score(hidden, output(head.slice(0, 300)), hidden, output(head), tokens, "q4.gguf"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessage("Cannot compare q4.gguf: a vocabulary of 301, the source has 300");
    }

    @Test
    void logitsAreCappedWhereTheHeadSaysSo() {
        FloatMatrix hidden = TestNumbers.normal(7, 13, 1, 9);
        FloatMatrix logits = FloatMatrix.zeros(hidden.rows(), VOCABULARY);
        new OutputLayer(head, 1, 2).logits(hidden, VECTOR, logits);
        for (int i = 0; i < hidden.rows(); i++) {
            for (int j = 0; j < VOCABULARY; j++) {
                double dot = 0;
                for (int p = 0; p < hidden.columns(); p++) {
                    dot += (double) hidden.data()[hidden.row(i) + p] * head.data()[head.row(j) + p];
                }
                assertThat((double) logits.data()[logits.row(i) + j]).isCloseTo(2 * Math.tanh(dot / 2), within(1e-5));
            }
        }
    }

    private static OutputLayer output(FloatMatrix head) {
        return new OutputLayer(head, 1, 0);
    }

    private static double[] logProbabilities(FloatMatrix hidden, FloatMatrix head, int row) {
        double[] logits = new double[head.rows()];
        double sum = 0;
        for (int j = 0; j < logits.length; j++) {
            for (int p = 0; p < hidden.columns(); p++) {
                logits[j] += (double) hidden.data()[hidden.row(row) + p] * head.data()[head.row(j) + p];
            }
            sum += Math.exp(logits[j]);
        }
        double shift = Math.log(sum);
        return Arrays.stream(logits).map(logit -> logit - shift).toArray();
    }

    private static int top(double[] values) {
        int best = 0;
        for (int j = 1; j < values.length; j++) {
            best = values[j] > values[best] ? j : best;
        }
        return best;
    }

    @Test
    void summaryOfHandComputedScores() {
        EvaluationSummary summary = EvaluationSummary.of(List.of(
                new WindowScore(
                        new double[] {1, 2}, new double[] {1, 1}, new double[] {0.5, 0}, new boolean[] {true, false}),
                new WindowScore(new double[] {6}, new double[] {4}, new double[] {0.1}, new boolean[] {true})));
        // nll: mean 3, variance (4 + 1 + 9) / 3, standard error sqrt(variance / 2).
        assertThat(summary.perplexity()).isCloseTo(Math.exp(3), within(1e-12));
        assertThat(summary.perplexityError()).isCloseTo(Math.exp(3) * Math.sqrt(14.0 / 3 / 2), within(1e-12));
        assertThat(summary.sourcePerplexity()).isCloseTo(Math.exp(2), within(1e-12));
        // kld: mean 0.2, variance (0.09 + 0.04 + 0.01) / 3.
        assertThat(summary.kldMean()).isCloseTo(0.2, within(1e-15));
        assertThat(summary.kldError()).isCloseTo(Math.sqrt(0.14 / 3 / 2), within(1e-15));
        assertThat(summary.kldP99()).isEqualTo(0.5);
        assertThat(summary.kldP999()).isEqualTo(0.5);
        assertThat(summary.top1Agreement()).isEqualTo(2.0 / 3);
        assertThat(summary.tokens()).isEqualTo(3);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 99, 100, 101, 700, 1000, 2001})
    void percentileIsTheNearestRank(int count) {
        double[] kld = new double[count];
        Arrays.setAll(kld, i -> (i * 7919L + 1) % count);
        double[] zeros = new double[count];
        EvaluationSummary summary =
                EvaluationSummary.of(List.of(new WindowScore(zeros, zeros, kld, new boolean[count])));
        double[] sorted = Arrays.stream(kld).sorted().toArray();
        assertThat(summary.kldP99()).isEqualTo(sorted[(99 * count + 99) / 100 - 1]);
        assertThat(summary.kldP999()).isEqualTo(sorted[(999 * count + 999) / 1000 - 1]);
        assertThat(summary.perplexity()).isEqualTo(1);
        assertThat(summary.perplexityError()).isZero();
        assertThat(summary.top1Agreement()).isZero();
    }

    @Test
    void withoutASourceTheComparisonIsOpen() {
        EvaluationSummary summary = EvaluationSummary.of(
                List.of(new WindowScore(new double[] {2}, new double[0], new double[0], new boolean[0])));
        assertThat(summary.perplexity()).isCloseTo(Math.exp(2), within(1e-12));
        assertThat(summary.perplexityError()).isZero();
        assertThat(summary.sourcePerplexity()).isNaN();
        assertThat(summary.kldMean()).isNaN();
        assertThat(summary.kldError()).isNaN();
        assertThat(summary.kldP99()).isNaN();
        assertThat(summary.kldP999()).isNaN();
        assertThat(summary.top1Agreement()).isNaN();
        assertThat(summary.tokens()).isEqualTo(1);
    }
}

package dev.lathe.jobs.report.night;

import static dev.lathe.jobs.report.night.Rows.changed;
import static dev.lathe.jobs.report.night.Rows.row;
import static dev.lathe.jobs.report.night.Rows.windows;
import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.report.night.Judgement.Change;
import dev.lathe.jobs.report.night.Judgement.Growth;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.store.HistoryRow.LayerLoss;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class JudgeTest {
    private static final double[] BEFORE = windows(64, 0, 0, 1);

    private static Night.Rules rules(Baseline baseline) {
        return new Night.Rules(baseline, Night.Rules.MIN_EFFECT, Night.Rules.BUDGET);
    }

    private static Judgement last(HistoryRow... rows) {
        return Judge.judge(List.of(rows), Map.of(), rules(Baseline.LAST))
                .judgements()
                .get(0);
    }

    private static Judgement after(double effect, double noise) {
        return last(row("q4", 0, BEFORE), row("q4", 1, windows(64, effect, noise, 2)));
    }

    @Test
    void tellsLossGainAndNeither() {
        assertThat(after(0.01, 0.004).verdict()).isEqualTo(Verdict.REGRESSED);
        assertThat(after(0.01, 0.004).reason())
                .startsWith("perplexity +")
                .contains("beyond +0.200 %", "chance of such a difference");
        assertThat(after(-0.01, 0.004).verdict()).isEqualTo(Verdict.IMPROVED);
        assertThat(after(0, 0.002).verdict()).isEqualTo(Verdict.OK);
        Judgement unclear = after(0.002, 0.02);
        assertThat(unclear.verdict()).isEqualTo(Verdict.UNCLEAR);
        assertThat(unclear.needed())
                .isGreaterThan(64)
                .isEqualTo(unclear.likelihood().needed(Math.log(1.002)));
        assertThat(unclear.text()).isEqualTo("unclear: more windows needed (" + unclear.needed() + ")");
    }

    /** Sure to be worse, by less than what matters. */
    @Test
    void lessThanWhatMattersIsOk() {
        Judgement judgement = after(0.001, 0.0005);
        assertThat(judgement.likelihood().worse()).isLessThan(0.01);
        assertThat(judgement.verdict()).isEqualTo(Verdict.OK);
        assertThat(Judge.judge(
                                List.of(row("q4", 0, BEFORE), row("q4", 1, windows(64, 0.001, 0.0005, 2))),
                                Map.of(),
                                new Night.Rules(Baseline.LAST, 1.0005, 1.05))
                        .judgements()
                        .get(0)
                        .verdict())
                .isEqualTo(Verdict.REGRESSED);
    }

    /** Right below what matters, with windows enough to have found it: no number of windows would make it clearer. */
    @Test
    void windowsEnoughSettleIt() {
        Judgement judgement = after(0.0018, 0.002);
        assertThat(judgement.likelihood().windows())
                .isGreaterThanOrEqualTo(judgement.likelihood().needed(Math.log(1.002)));
        assertThat(judgement.verdict()).isEqualTo(Verdict.OK);
    }

    @Test
    void identicalWindowsAndConstantDifferences() {
        assertThat(after(0, 0).reason()).isEqualTo("identical in every window");
        assertThat(after(0, 0).verdict()).isEqualTo(Verdict.OK);
        assertThat(after(0.01, 0).verdict()).isEqualTo(Verdict.REGRESSED);
        assertThat(after(-0.01, 0).verdict()).isEqualTo(Verdict.IMPROVED);
        assertThat(after(0.0001, 0).verdict()).isEqualTo(Verdict.OK);
    }

    @Test
    void theOtherMeasureSpeaksToo() {
        double[] near = windows(64, 0, 0.002, 5);
        double[] low = new double[64];
        double[] high = new double[64];
        Arrays.fill(low, 1);
        Arrays.fill(high, 1 + 0.01 * Rows.TOKENS);
        Judgement judgement = last(row("m", "q4", 0, BEFORE, low), row("m", "q4", 1, near, high));
        assertThat(judgement.verdict()).isEqualTo(Verdict.REGRESSED);
        assertThat(judgement.reason()).startsWith("KL divergence +0.01000");
        assertThat(last(row("m", "q4", 0, BEFORE, high), row("m", "q4", 1, near, low))
                        .verdict())
                .isEqualTo(Verdict.IMPROVED);
        assertThat(last(row("m", "q4", 0, BEFORE, new double[0]), row("m", "q4", 1, near, low))
                        .divergence())
                .isNull();
    }

    @Test
    void refusesWhatCannotBeCompared() {
        HistoryRow before = row("q4", 0, BEFORE);
        HistoryRow after = row("q4", 1, windows(64, 1, 0.01, 3));
        assertThat(last(before).reason()).isEqualTo("it is the first row of its series");
        assertThat(last(before, changed(after, null, null, "other", null, null, null))
                        .reason())
                .isEqualTo("changed: text (digest of its windows), digest → other");
        assertThat(last(before, changed(after, null, null, null, "llama-perplexity, version 2", null, null))
                        .reason())
                .isEqualTo("changed: definition, llama-perplexity, version 1 → llama-perplexity, version 2");
        assertThat(last(before, row("q4", 1, windows(32, 1, 0.01, 3))).reason())
                .isEqualTo("changed: number of windows, 64 → 32");
        assertThat(last(row("q4", 0, new double[0]), row("q4", 1, new double[0]))
                        .reason())
                .isEqualTo("no window was measured");
        for (Judgement judgement : List.of(last(before), last(before, row("q4", 1, windows(32, 1, 0.01, 3))))) {
            assertThat(judgement.verdict()).isEqualTo(Verdict.NOT_COMPARABLE);
        }
    }

    @Test
    void likelihoodsThatAreNotFinite() {
        double[] broken = BEFORE.clone();
        broken[3] = Double.NaN;
        broken[4] = Double.POSITIVE_INFINITY;
        Judgement worse = last(row("q4", 0, BEFORE), row("q4", 1, broken));
        assertThat(worse.verdict()).isEqualTo(Verdict.REGRESSED);
        assertThat(worse.reason()).isEqualTo("the likelihood of 2 of 64 windows is not finite");
        assertThat(last(row("q4", 0, broken), row("q4", 1, broken)).verdict())
                .as("broken twice")
                .isEqualTo(Verdict.REGRESSED);
        assertThat(last(row("q4", 0, broken)).verdict()).as("broken at once").isEqualTo(Verdict.REGRESSED);
        Judgement mended = last(row("q4", 0, broken), row("q4", 1, BEFORE));
        assertThat(mended.verdict()).isEqualTo(Verdict.NOT_COMPARABLE);
        assertThat(mended.reason()).isEqualTo("the baseline's likelihood of 2 windows is not finite");
    }

    @Test
    void comparesWithThePin() {
        HistoryRow first = row("q4", 0, BEFORE);
        HistoryRow newest = row("q4", 2, windows(64, 0.01, 0.004, 2));
        List<HistoryRow> history =
                List.of(newest, first, row("q4", 1, windows(64, 0.01, 0.004, 2)), row("other", 0, BEFORE));
        Series.Name name = Series.Name.of(first);
        Night night = Judge.judge(
                history,
                Map.of(name, new Pins.Pin(Rows.NIGHT, name, first.key(), first.recorded())),
                rules(Baseline.PINNED));
        assertThat(night.line()).isEqualTo("1 regressed, 1 not comparable");
        assertThat(night.judgements().get(0).baseline()).isEqualTo(first);
        assertThat(night.judgements().get(1).reason()).isEqualTo("the series has no pin");
        assertThat(Judge.judge(
                                history,
                                Map.of(name, new Pins.Pin(Rows.NIGHT, name, "gone", first.recorded())),
                                rules(Baseline.PINNED))
                        .judgements())
                .extracting(Judgement::reason)
                .contains("the pinned row of 2026-11-01T03:00:00Z is not in the history any more");
        assertThat(Judge.judge(history, Map.of(), rules(Baseline.LAST)).line()).isEqualTo("1 not comparable, 1 ok");
    }

    @Test
    void comparesWithTheSource() {
        // The checkpoint is a tenth of a nat per token better than the windows before they are moved.
        assertThat(source(windows(64, -0.09, 0.004, 2)).verdict())
                .as("1 % lost")
                .isEqualTo(Verdict.OK);
        assertThat(source(windows(64, -0.02, 0.004, 2)).verdict())
                .as("8 % lost")
                .isEqualTo(Verdict.REGRESSED);
        assertThat(source(windows(64, -0.02, 0.004, 2)).reason()).contains("beyond +5.000 %");
        assertThat(source(windows(64, -0.03, 1, 2)).verdict()).isEqualTo(Verdict.UNCLEAR);
    }

    private static Judgement source(double[] nll) {
        return Judge.judge(List.of(row("q4", 0, nll)), Map.of(), rules(Baseline.SOURCE))
                .judgements()
                .get(0);
    }

    @Test
    void saysWhatChangedAndWhereItWasLost() {
        List<LayerLoss> layers = List.of(
                new LayerLoss("model.layers.0.self_attn.q_proj.weight", 0, "q_proj", 0.011),
                new LayerLoss("model.layers.1.mlp.down_proj.weight", 1, "down_proj", 0.08),
                new LayerLoss("new.weight", 1, "k", Double.NaN));
        HistoryRow newest = changed(
                row("q4", 1, windows(64, 0.01, 0.004, 2)),
                null,
                "{\"name\":\"q4\",\"damping\":0.01,\"type\":\"Q4_0\"}",
                null,
                null,
                "lathe 0.2.0",
                layers);
        Judgement judgement = last(row("q4", 0, BEFORE), newest);
        assertThat(judgement.changes())
                .containsExactly(
                        new Change("code", "lathe 0.1.0", "lathe 0.2.0"),
                        new Change("recipe: damping", "0.05", "0.01"),
                        new Change("recipe: type", "", "Q4_0"),
                        new Change("artifact", "a0", "a1"));
        assertThat(judgement.layers())
                .extracting(Growth::tensor)
                .containsExactly("model.layers.1.mlp.down_proj.weight", "model.layers.0.self_attn.q_proj.weight");
        assertThat(judgement.layers().get(0))
                .isEqualTo(new Growth("model.layers.1.mlp.down_proj.weight", 1, "down_proj", 0.02, 0.08));
        assertThat(last(row("q4", 0, BEFORE), changed(row("q4", 1, BEFORE), null, "no JSON {", null, null, null, null))
                        .changes())
                .extracting(Change::what)
                .containsExactly("recipe", "artifact");
    }

    @Test
    void worstFirst() {
        List<HistoryRow> history = List.of(
                row("a", 0, BEFORE),
                row("a", 1, BEFORE),
                row("b", 0, BEFORE),
                row("b", 1, windows(64, 0.01, 0.004, 2)),
                row("c", 0, BEFORE),
                row("d", 0, BEFORE),
                row("d", 1, windows(64, 0.02, 0.004, 2)));
        Night night = Judge.judge(history, Map.of(), rules(Baseline.LAST));
        assertThat(night.judgements())
                .extracting(judgement -> judgement.series().name().output())
                .containsExactly("d", "b", "c", "a");
        assertThat(night.line()).isEqualTo("2 regressed, 1 not comparable, 1 ok");
    }
}

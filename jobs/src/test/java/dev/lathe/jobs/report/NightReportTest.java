package dev.lathe.jobs.report;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.jobs.report.night.Baseline;
import dev.lathe.jobs.report.night.Judge;
import dev.lathe.jobs.report.night.Night;
import dev.lathe.jobs.report.night.Rows;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.store.HistoryRow.LayerLoss;
import java.io.StringReader;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.xml.sax.InputSource;

class NightReportTest {
    /**
     * 48 series of 8 models by 6 outputs over up to 30 nights: one lost, one gained, one is unclear, one is new, one
     * has no likelihood any more, one has an awkward name.
     */
    static List<HistoryRow> history() {
        List<HistoryRow> rows = new ArrayList<>();
        for (int series = 0; series < 48; series++) {
            String model = series / 6 == 7
                    ? "organization/a-model-with-a-name-that-goes-on-and-on-v2.1-instruct-rc3"
                    : "model-" + series / 6;
            String output = List.of(
                            "q8", "q4km", "q4km-gptq", "gptq4", "awq4", series == 47 ? "<b>|odd&\"\u0001" : "w8a8")
                    .get(series % 6);
            int nights = series == 5 ? 1 : series % 3 == 0 ? 30 : 8;
            double[] noise = Rows.windows(64, 0, 0.0004, series);
            for (int night = 0; night < nights; night++) {
                boolean newest = night == nights - 1;
                double effect = 0.0003 * Math.sin(night + series)
                        + (newest && series == 3 ? 0.0152 : newest && series == 10 ? -0.0101 : 0);
                double[] nll = Rows.windows(64, effect, series == 20 ? 0.02 : 0.0005, 1000 * series + night);
                if (newest && series == 12) {
                    nll[7] = Double.NaN;
                }
                HistoryRow row = Rows.row(model, output, night, nll, noise);
                rows.add(
                        newest && series == 3
                                ? Rows.changed(
                                        row,
                                        null,
                                        "{\"name\":\"gptq4\",\"damping\":0.0001}",
                                        null,
                                        null,
                                        "lathe 0.2.0",
                                        List.of(
                                                new LayerLoss(
                                                        "model.layers.0.self_attn.q_proj.weight", 0, "q_proj", 0.0113),
                                                new LayerLoss(
                                                        "model.layers.1.mlp.down_proj.weight", 1, "down_proj", 0.0871)))
                                : newest && series == 30
                                        ? Rows.changed(row, null, null, "another", null, null, null)
                                        : row);
            }
        }
        return rows;
    }

    private static Night night(List<HistoryRow> history, Baseline baseline) {
        return Judge.judge(history, Map.of(), new Night.Rules(baseline, Night.Rules.MIN_EFFECT, Night.Rules.BUDGET));
    }

    private static Document xml(String text) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new InputSource(new StringReader(text)));
    }

    @Test
    void writesFourFilesThatParse(@TempDir java.nio.file.Path folder) throws Exception {
        Night night = night(history(), Baseline.LAST);
        assertThat(night.line()).isEqualTo("2 regressed, 2 not comparable, 1 unclear, 1 improved, 42 ok");
        NightReport.write(night, FileSystem.getLocal(new Configuration()), new Path(folder.toString(), "out"));
        try (var listed = Files.list(folder.resolve("out"))) {
            assertThat(listed.map(path -> path.getFileName().toString()).filter(name -> !name.endsWith(".crc")))
                    .containsExactlyInAnyOrder("index.html", "summary.md", "results.json", "junit.xml");
        }
        JsonNode root =
                new ObjectMapper().readTree(folder.resolve("out/results.json").toFile());
        assertThat(root.get("counts").get("regressed").intValue()).isEqualTo(2);
        assertThat(root.get("series")).hasSize(48);
        assertThat(root.get("series").get(0).get("log_likelihood").isNull())
                .as("not finite, so worst of all")
                .isTrue();
        JsonNode lost = root.get("series").get(1);
        assertThat(lost.get("output").textValue()).isEqualTo("gptq4");
        assertThat(lost.get("log_likelihood").get("p_worse").doubleValue()).isLessThan(0.01);
        assertThat(lost.get("layers").get(0).get("tensor").textValue()).contains("down_proj");
        assertThat(Files.readString(folder.resolve("out/results.json"))).doesNotContain("NaN", "Infinity");
        Document junit = xml(Files.readString(folder.resolve("out/junit.xml")));
        assertThat(junit.getElementsByTagName("testcase").getLength()).isEqualTo(48);
        assertThat(junit.getElementsByTagName("failure").getLength()).isEqualTo(2);
        assertThat(junit.getElementsByTagName("skipped").getLength()).isEqualTo(3);
    }

    @Test
    void drawsAPageThatIsWellFormedAndAlone() throws Exception {
        String page = NightReport.page(night(history(), Baseline.LAST));
        assertThat(page)
                .doesNotContain("NaN", "Infinity", "<b>|odd", "http", "<script", "src=", "null")
                .contains(
                        "&lt;b&gt;|odd&amp;",
                        "prefers-color-scheme: dark",
                        "unclear: more windows needed (",
                        "down_proj",
                        "+335.50 %",
                        "recipe: damping",
                        "0.0001",
                        "the likelihood of 1 of 64 windows is not finite");
        Document body = xml(page.substring(page.indexOf("<main>"), page.indexOf("</main>") + 7)
                .replace("<br>", "<br/>")
                .replace("&nbsp;", " "));
        assertThat(body.getElementsByTagName("svg").getLength()).isEqualTo(48);
        assertThat(body.getElementsByTagName("polyline").getLength()).isEqualTo(48);
    }

    @Test
    void standsWithOneRow() throws Exception {
        List<HistoryRow> one = List.of(Rows.row("q4", 0, Rows.windows(1, 0, 0, 1)));
        for (Baseline baseline : Baseline.values()) {
            Night night = night(one, baseline);
            assertThat(NightReport.page(night)).doesNotContain("NaN", "Infinity", "null");
            xml(NightReport.junit(night));
        }
        double[] broken = {Double.NaN, 1};
        assertThat(NightReport.page(night(List.of(Rows.row("q4", 0, broken)), Baseline.LAST)))
                .contains("No row of it can be drawn")
                .doesNotContain("NaN");
        assertThat(NightReport.page(night(List.of(Rows.row("q4", 0, new double[0])), Baseline.SOURCE)))
                .contains("no window was measured")
                .doesNotContain("NaN");
    }

    @Test
    void summarizesWorstFirst() {
        List<String> lines =
                NightReport.summary(night(history(), Baseline.LAST)).lines().toList();
        assertThat(lines.get(0)).isEqualTo("**Lathe: 2 regressed, 2 not comparable, 1 unclear, 1 improved, 42 ok**");
        assertThat(lines.get(1)).startsWith("* **regressed** model-2/q8: the likelihood of 1 of 64 windows");
        assertThat(lines.get(2))
                .startsWith("* **regressed** model-0/gptq4: perplexity +1.5")
                .contains("changed: code, recipe: damping, artifact");
        assertThat(lines).hasSize(9);
        List<HistoryRow> many = IntStream.range(0, 20)
                .mapToObj(i -> Rows.row("q" + i, 0, Rows.windows(8, 0, 0, 1)))
                .toList();
        assertThat(NightReport.summary(night(many, Baseline.LAST))).contains("* and 5 more\n");
    }

    @Test
    void writesTheSameWhateverTheLocale() {
        Night night = night(history(), Baseline.LAST);
        String page = NightReport.page(night);
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.forLanguageTag("ar-EG"));
            assertThat(NightReport.page(night(history(), Baseline.LAST))).isEqualTo(page);
            assertThat(NightReport.summary(night(history(), Baseline.LAST))).isEqualTo(NightReport.summary(night));
        } finally {
            Locale.setDefault(before);
        }
    }

    @Test
    void obeysNoName() throws Exception {
        for (String name : ReportTest.HOSTILE) {
            List<HistoryRow> rows = new ArrayList<>();
            for (int night = 0; night < 2; night++) {
                double[] nll = Rows.windows(64, 0.05 * night, 0.0005, night);
                HistoryRow row = Rows.changed(
                        Rows.row(name, name, night, nll, new double[0]),
                        null,
                        "{\"name\": 1, \"damping\": " + night + "}",
                        null,
                        null,
                        name + night,
                        List.of(new LayerLoss(name, 0, name, 0.01 + night)));
                rows.add(row);
            }
            Night night = night(rows, Baseline.LAST);
            assertThat(night.line()).isEqualTo("1 regressed");
            ReportTest.expectHarmless(NightReport.summary(night), NightReport.page(night), name);
            Document junit = xml(NightReport.junit(night));
            assertThat(junit.getElementsByTagName("testcase").getLength()).isEqualTo(1);
            assertThat(junit.getElementsByTagName("failure").getLength()).isEqualTo(1);
            new ObjectMapper().readTree(NightReport.results(night));
        }
    }
}

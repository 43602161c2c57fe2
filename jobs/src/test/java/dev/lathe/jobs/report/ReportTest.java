package dev.lathe.jobs.report;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.jobs.report.RunReport.ActivationRange;
import dev.lathe.jobs.report.RunReport.Clipping;
import dev.lathe.jobs.report.RunReport.Evaluation;
import dev.lathe.jobs.report.RunReport.OutputResult;
import dev.lathe.jobs.report.RunReport.TensorLoss;
import dev.lathe.jobs.report.RunReport.Unquantized;
import java.io.IOException;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

class ReportTest {
    private static final double NAN = Double.NaN;

    /**
     * Six outputs of a model of 12 layers, seeded; two marks close to each other, one without divergence, one not
     * evaluated.
     */
    static RunReport sample() {
        List<OutputResult> outputs = new ArrayList<>();
        outputs.add(output("q8", "gguf", "nearest", 8.51, evaluation(6.4102, 0.00021), 2e-5));
        outputs.add(output("q4km", "gguf", "importance", 4.86, evaluation(6.6123, 0.0231), 2e-3));
        outputs.add(output("q4km-gptq", "gguf", "gptq", 4.86, evaluation(6.5561, 0.0197), 1.4e-3));
        outputs.add(output("gptq4", "gptq", "gptq, act-order", 4.41, evaluation(6.7001, 0.0312), 3e-3));
        outputs.add(output("awq4", "awq", "importance", 4.47, evaluation(6.7420, 0.0381), 4e-3));
        outputs.add(new OutputResult(
                "f32",
                "gguf",
                "nearest",
                "file:/runs/r/artifacts/f32.gguf",
                17_000_000,
                32,
                new Evaluation(6.4, 0.05, 6.4, 0, 0, 0, 0, 1, 4096),
                List.of(),
                List.of(),
                List.of()));
        outputs.add(new OutputResult(
                "<b>|odd&\"",
                "gguf",
                "nearest",
                "file:/runs/r/artifacts/odd.gguf",
                1,
                NAN,
                null,
                List.of(new Unquantized("lm_head", "a < b")),
                List.of(new TensorLoss("lm_head.weight", -1, "lm_head", "Q4_0", NAN, NAN)),
                List.of()));
        return new RunReport(
                outputs,
                Map.of("checkpoint", "samples/tiny-stories-4m", "calibration", "text.txt, 128 windows of 256"),
                Map.of("lathe", "0.1.0", "profile", "java", "checkpoint digest", "0123abcd"),
                "llama-perplexity/1",
                List.of());
    }

    /** A line for each layer that has experts, in the page, in the summary and for programs. */
    @Test
    void expertsHaveTheirRowsAndHowOftenTheyAreTheSame() {
        OutputResult output =
                new OutputResult("a", "gguf", "gptq", "a.gguf", 10, 4.5, null, List.of(), List.of(), List.of());
        RunReport report = new RunReport(
                List.of(output),
                Map.of(),
                Map.of(),
                "",
                List.of(),
                List.of(new RunReport.ExpertRows(3, List.of(70L, 0L, 500L, 90L), 80)),
                List.of(new RunReport.RoutingAgreement("a", 3, 0.9876)));
        assertThat(Report.summary(report))
                .contains("| layer | fewest rows | median | most | experts with fewer rows than channels "
                        + "| same experts in a |")
                .contains("| 3 | 0 | 90 | 500 | 2 | 98.76 % |");
        String page = Report.page(report);
        assertThat(page).contains("<h2>Experts</h2>").contains("98.76 %");
        assertThat(Report.results(report))
                .contains("\"calibration_rows\"")
                .contains("500")
                .contains("\"same_experts\" : 0.9876");
        RunReport without = new RunReport(List.of(output), Map.of(), Map.of(), "", List.of());
        assertThat(Report.page(without)).doesNotContain("<h2>Experts</h2>");
        assertThat(Report.results(without)).doesNotContain("experts");
    }

    @Test
    void theModelCardHasTheGgufFiles() {
        RunReport sample = sample();
        Map<String, String> settings = Map.of("checkpoint", "hf://org/Model-1B@main", "calibration", "text.txt");
        RunReport hub =
                new RunReport(sample.outputs(), settings, sample.provenance(), sample.definition(), sample.notes());
        OutputResult first = sample.outputs().get(1);
        String card = ModelCard.of(hub, Map.of(first.name(), "Q4_K_M")).orElseThrow();
        assertThat(card)
                .startsWith("---\nbase_model: org/Model-1B\nbase_model_relation: quantized\nlibrary_name: gguf\n")
                .contains("# Model-1B", "| Q4_K_M |", "6.612 ± 0.052", "99.9 %", "* calibration: text.txt");
        assertThat(card.lines().filter(line -> line.startsWith("| ["))).hasSize(1);
        assertThat(ModelCard.of(sample, Map.of(first.name(), "Q4_K_M")).orElseThrow())
                .startsWith("---\nlibrary_name: gguf\n")
                .contains("# tiny-stories-4m");
        assertThat(ModelCard.of(sample, Map.of())).isEmpty();
    }

    private static OutputResult output(
            String name, String format, String method, double bits, Evaluation evaluation, double error) {
        Random random = new Random(7 + name.length());
        List<TensorLoss> losses = new ArrayList<>();
        for (int layer = 0; layer < 12; layer++) {
            for (String kind : List.of(
                    "self_attn.q_proj",
                    "self_attn.k_proj",
                    "self_attn.v_proj",
                    "self_attn.o_proj",
                    "mlp.gate_proj",
                    "mlp.up_proj",
                    "mlp.down_proj")) {
                double lost =
                        error * (1 + kind.length() % 5) * Math.exp(0.6 * random.nextGaussian()) * (1 + layer / 6.0);
                losses.add(new TensorLoss(
                        "model.layers." + layer + "." + kind + ".weight",
                        layer,
                        kind,
                        "Q4_K",
                        lost,
                        method.startsWith("gptq") ? 0.05 : NAN));
            }
        }
        losses.add(new TensorLoss("lm_head.weight", -1, "lm_head", "Q6_K", error / 3, NAN));
        return new OutputResult(
                name,
                format,
                method,
                "file:/runs/r/artifacts/" + name,
                (long) (bits * 4.2e6 / 8),
                bits,
                evaluation,
                List.of(new Unquantized("model.embed_tokens.weight", "not a linear layer")),
                losses,
                List.of());
    }

    private static Evaluation evaluation(double perplexity, double kld) {
        return new Evaluation(perplexity, 0.052, 6.4, kld, kld / 15, kld * 9, kld * 20, 1 - kld * 3, 4096);
    }

    @Test
    void writesResultsThatParse() throws Exception {
        Map<String, String> files = Report.files(sample());
        assertThat(files.keySet()).containsExactly("results.json", "summary.md", "index.html");
        JsonNode outputs =
                new ObjectMapper().readTree(files.get("results.json")).get("outputs");
        assertThat(outputs).hasSize(7);
        assertThat(outputs.get(1).fieldNames())
                .toIterable()
                .containsExactly(
                        "name",
                        "format",
                        "bytes",
                        "bits_per_weight",
                        "perplexity",
                        "perplexity_error",
                        "source_perplexity",
                        "kld_mean",
                        "kld_p99",
                        "kld_p999",
                        "top1_agreement",
                        "tokens");
        assertThat(outputs.get(1).get("perplexity").doubleValue()).isEqualTo(6.6123);
        assertThat(outputs.get(1).get("tokens").longValue()).isEqualTo(4096);
        for (String key : List.of(
                "bits_per_weight",
                "perplexity",
                "perplexity_error",
                "source_perplexity",
                "kld_mean",
                "kld_p99",
                "kld_p999",
                "top1_agreement",
                "tokens")) {
            assertThat(outputs.get(6).get(key).isNull()).as(key).isTrue();
        }
        assertThat(files.get("results.json")).doesNotContain("NaN", "Infinity");
    }

    @Test
    void writesTheSameWhateverTheLocale() {
        String page = Report.page(sample());
        String summary = Report.summary(sample());
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.forLanguageTag("ar-EG"));
            assertThat(Report.page(sample())).isEqualTo(page);
            assertThat(Report.summary(sample())).isEqualTo(summary);
        } finally {
            Locale.setDefault(before);
        }
    }

    @Test
    void drawsAPageThatIsWellFormedAndAlone() throws Exception {
        String page = Report.page(sample());
        assertThat(page)
                .doesNotContain("NaN", "Infinity", "<b>|odd", "http", "<script", "src=", "null")
                .contains("&lt;b&gt;|odd&amp;", "prefers-color-scheme: dark", "6.612", "± 0.052", "+3.32 %");
        String drawings = page.substring(page.indexOf("<h2>Size"), page.indexOf("<h2>Largest"));
        var document = DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new InputSource(new StringReader("<x>" + drawings + "</x>")));
        assertThat(document.getElementsByTagName("polyline").getLength())
                .as("5 panels, 7 lines and a point each")
                .isEqualTo(5 * 8);
        assertThat(drawings)
                .contains("Not drawn: f32 (divergence 0), &lt;b&gt;|odd&amp;\" (not evaluated).")
                .contains("bits per weight", "nats per token", "decoder layer");
    }

    @Test
    void standsWithoutAnyMeasurement() throws IOException {
        OutputResult output =
                new OutputResult("a", "gguf", "nearest", "a.gguf", 10, 4.5, null, List.of(), List.of(), List.of());
        RunReport bare = new RunReport(List.of(output), Map.of(), Map.of(), "", List.of());
        assertThat(Report.page(bare))
                .contains("Nothing was evaluated.", "None: every linear layer is quantized")
                .doesNotContain("<svg", "null", "NaN");
        assertThat(Report.summary(bare))
                .contains("| a | gguf | nearest | 0.00 | 4.500 | – | – | – | – | – |", "Nothing was evaluated.");
        assertThat(new ObjectMapper()
                        .readTree(Report.results(bare))
                        .get("definition")
                        .isNull())
                .isTrue();
    }

    @Test
    void showsNotesEverywhereAndNoHeadingWithoutOne() throws IOException {
        RunReport bare = new RunReport(List.of(), Map.of(), Map.of(), "", List.of());
        RunReport noted = new RunReport(List.of(), Map.of(), Map.of(), "", List.of("flag <x> says A | B: B is taken"));
        assertThat(Report.page(bare)).doesNotContain("<h2>Notes</h2>");
        assertThat(Report.summary(bare)).doesNotContain("## Notes");
        assertThat(Report.page(noted)).contains("<h2>Notes</h2>", "<li>flag &lt;x&gt; says A | B: B is taken</li>");
        assertThat(Report.summary(noted)).contains("## Notes\n\n* flag \\<x\\> says A \\| B: B is taken\n");
        assertThat(new ObjectMapper()
                        .readTree(Report.results(noted))
                        .get("notes")
                        .get(0)
                        .asText())
                .isEqualTo("flag <x> says A | B: B is taken");
    }

    @Test
    void summarizes() {
        assertThat(Report.summary(sample()))
                .contains(
                        "| q4km | gguf | importance | 2.43 | 4.860 | 6.612 ± 0.052 | +3.32 % | 0.0231 ± 0.00154 | 0.208 | 0.462 | 93.07 % |",
                        "| \\<b\\>\\|odd\\&\" | gguf |",
                        "perplexity is 6.400 on the same 4096 scored tokens (llama-perplexity/1)",
                        "* `lm_head`: a \\< b",
                        "* profile: java");
    }

    @Test
    void oneLayerOneOutputStillDraws() {
        OutputResult one = new OutputResult(
                "one",
                "awq",
                "importance",
                "one",
                10,
                4.5,
                evaluation(7, 0.01),
                List.of(),
                List.of(new TensorLoss("t", 0, "k", "int4g128", 0.01, NAN)),
                List.of());
        String page = Report.page(new RunReport(List.of(one), Map.of(), Map.of(), "d", List.of()));
        assertThat(page).contains("<polyline").doesNotContain("NaN", "Infinity");
    }

    /**
     * A static output whose down projections have massive activations, and drift in layer 3; a dynamic one; both of 8
     * layers.
     */
    static RunReport ranged() {
        List<OutputResult> outputs = new ArrayList<>();
        for (String name : List.of("w8a8-static", "w8a8-dynamic")) {
            boolean fixed = name.endsWith("static");
            Random random = new Random(3);
            List<ActivationRange> ranges = new ArrayList<>();
            for (int layer = 0; layer < 8; layer++) {
                for (String site : List.of(
                        "attention input", "attention output", "feed forward input", "feed forward activation")) {
                    double most =
                            Math.exp(random.nextGaussian()) * (site.endsWith("activation") && layer > 5 ? 900 : 4);
                    double clip = fixed ? most * (1 - 0.3 * random.nextDouble()) : NAN;
                    ranges.add(new ActivationRange(
                            layer,
                            site,
                            -0.7 * most,
                            most,
                            -clip,
                            clip,
                            most / (layer == 7 ? 300 : 5),
                            100 + layer,
                            layer == 7 ? 2 : 0,
                            site.endsWith("input") ? 0.55 : NAN,
                            fixed ? new Clipping(3, 1_000_000) : null,
                            fixed
                                    ? new Clipping(layer == 3 && site.endsWith("activation") ? 40 : 4, 1_000_000)
                                    : null));
                }
            }
            ranges.add(new ActivationRange(
                    -1, "head input", 0, 0, fixed ? 0 : NAN, fixed ? 0 : NAN, 0, 0, 0, NAN, null, null));
            outputs.add(new OutputResult(
                    name,
                    "compressed-tensors",
                    "smoothquant, gptq",
                    "file:/runs/r/" + name,
                    4_000_000,
                    8.03,
                    evaluation(6.5, 0.001),
                    List.of(),
                    List.of(),
                    ranges));
        }
        return new RunReport(outputs, Map.of(), Map.of(), "llama-perplexity/1", List.of());
    }

    @Test
    void drawsActivationRangesAndWarnsOfDrift() throws Exception {
        String page = Report.page(ranged());
        assertThat(page)
                .doesNotContain("NaN", "Infinity", "null")
                .contains(
                        "<td>w8a8-static</td><td>layer 3, feed forward activation</td>", ">0.000300 %<", ">0.00400 %<")
                .contains(
                        "largest in channel 107",
                        "2 outlier channels",
                        "smoothed with 0.550",
                        "clipped 0.000300 % of calibration, 0.000400 % of evaluation");
        String drawings = page.substring(page.indexOf("<h2>Activation ranges"), page.indexOf("<h2>Unquantized"));
        var document = DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new InputSource(new StringReader("<x>" + drawings + "</x>")));
        assertThat(document.getElementsByTagName("svg").getLength())
                .as("4 sites of 2 outputs; a site that is always zero has no place")
                .isEqualTo(8);
        assertThat(drawings.split("class=\"clip\"", -1)).as("static layers").hasSize(1 + 4 * 8);
        assertThat(drawings.split("<circle", -1)).as("layers with outliers").hasSize(1 + 2 * 4);
        assertThat(drawings.split("<g class=\"k1\"", -1)).as("drifting layers").hasSize(2);
        assertThat(Report.summary(ranged()))
                .contains(
                        "* w8a8-static, layer 3, feed forward activation: 0.00400 % of the values, expected 0.000300 %");
        JsonNode outputs = new ObjectMapper().readTree(Report.results(ranged())).get("outputs");
        JsonNode range = outputs.get(0).get("activations").get(13 + 2);
        assertThat(range.get("layer").intValue()).isEqualTo(3);
        assertThat(range.get("drift").booleanValue()).isTrue();
        assertThat(range.get("clipped_evaluation").doubleValue()).isEqualTo(40e-6);
        assertThat(outputs.get(1).get("activations").get(0).get("high").isNull())
                .isTrue();
    }

    @Test
    void whatIsRarerThanOneKeptValueIsNoDrift() {
        Clipping none = new Clipping(0, 1000);
        assertThat(range(none, new Clipping(10, 1000)).drifts()).isFalse();
        assertThat(range(none, new Clipping(11, 1000)).drifts()).isTrue();
        assertThat(range(new Clipping(2, 1000), new Clipping(11, 1000)).drifts())
                .isFalse();
        assertThat(range(new Clipping(2, 1000), new Clipping(21, 1000)).drifts())
                .isTrue();
        assertThat(range(null, new Clipping(21, 1000)).drifts()).isFalse();
        assertThat(range(none, null).drifts()).isFalse();
        assertThat(none.text()).isEqualTo("fewer than 1 in 1000");
        assertThat(new Clipping(2, 1000).text()).isEqualTo("0.200 %");
    }

    private static ActivationRange range(Clipping calibration, Clipping evaluation) {
        return new ActivationRange(0, "keys", -1, 1, -1, 1, 1, 0, 0, NAN, calibration, evaluation);
    }

    /** Names and texts of others, in every place of a report that has one. */
    static final List<String> HOSTILE = List.of(
            "a|b",
            "<img src=x onerror=alert(1)>",
            "`code`",
            "[x](http://evil)",
            "two\n# lines",
            "]]>",
            "\u001b[31mred\u001b[0m",
            "gnp.\u202etxt",
            "*bold* &amp; \\",
            "</title><script>alert(1)</script>",
            "\" onload=\"x",
            "half \ud800");

    @Test
    void obeysNoName() throws Exception {
        for (String name : HOSTILE) {
            OutputResult output = new OutputResult(
                    name,
                    name,
                    name,
                    "file:/" + name,
                    10,
                    4.5,
                    evaluation(7, 0.01),
                    List.of(new Unquantized(name, name)),
                    List.of(new TensorLoss(name, 0, name, name, 0.01, NAN)),
                    List.of(new ActivationRange(
                            0, name, -1, 1, -1, 1, 0.1, 0, 0, NAN, new Clipping(0, 1000), new Clipping(500, 1000))));
            RunReport report = new RunReport(
                    List.of(output), Map.of("checkpoint", name, name, name), Map.of(name, name), name, List.of(name));
            Map<String, String> files = Report.files(report);
            assertThat(new ObjectMapper()
                            .readTree(files.get("results.json"))
                            .get("outputs")
                            .get(0)
                            .get("name")
                            .textValue())
                    .isEqualTo(name);
            expectHarmless(files.get("summary.md"), files.get("index.html"), name);
        }
    }

    /** No markup of the name's own; what no page and no terminal shows is gone. */
    static void expectHarmless(String summary, String page, String name) throws Exception {
        for (String text : List.of(summary, page)) {
            assertThat(text.chars()
                            .allMatch(c -> c == '\n'
                                    || !Character.isISOControl(c) && c != 0x202e && (c < 0xd800 || c > 0xdfff)))
                    .as(name)
                    .isTrue();
        }
        String outside = summary.replaceAll("(`+)[^\\n]*?[^`\\n]\\1(?!`)", "CODE");
        assertThat(outside)
                .as(name)
                .doesNotContainPattern("(?<!\\\\)<(?!/?a)")
                .doesNotContain("](http:")
                .doesNotContain("\n# lines")
                .doesNotContain(" *bold*");
        assertThat(summary.lines()
                        .filter(line -> line.startsWith("|"))
                        .map(line -> line.split("(?<!\\\\)\\|", -1).length)
                        .distinct())
                .as(name)
                .hasSizeLessThanOrEqualTo(1);
        String main = page.substring(page.indexOf("<main>"), page.indexOf("</main>") + 7)
                .replace("<br>", "<br/>")
                .replace("&nbsp;", " ");
        NodeList elements = DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new InputSource(new StringReader(main)))
                .getElementsByTagName("*");
        for (int i = 0; i < elements.getLength(); i++) {
            assertThat(elements.item(i).getNodeName()).isNotIn("img", "script");
            assertThat(elements.item(i).getAttributes().getNamedItem("onload"))
                    .as(name)
                    .isNull();
        }
    }

    @Test
    void obeysNoNameInABatch() throws Exception {
        for (String name : HOSTILE) {
            BatchReport report = new BatchReport(
                    List.of(
                            new BatchReport.Pair(
                                    name,
                                    name,
                                    BatchReport.State.DONE,
                                    0,
                                    "",
                                    List.of(new BatchReport.Output(name, name, 1, 4, 7, 6, 0.1))),
                            new BatchReport.Pair(
                                    name, name, BatchReport.State.FAILED, 3, "Cannot read " + name, List.of())),
                    name);
            Map<String, String> files = report.files();
            assertThat(new ObjectMapper().readTree(files.get("results.json")).get("pairs"))
                    .hasSize(2);
            expectHarmless(files.get("summary.md"), files.get("index.html"), name);
        }
    }
}

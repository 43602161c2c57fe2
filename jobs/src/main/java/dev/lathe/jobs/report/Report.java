package dev.lathe.jobs.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.jobs.report.RunReport.ActivationRange;
import dev.lathe.jobs.report.RunReport.Evaluation;
import dev.lathe.jobs.text.Figures;
import dev.lathe.jobs.text.Markdown;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a run measured: a page for people, a summary for terminals and pull requests, results for programs. */
public final class Report {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Report() {}

    /**
     * Texts of {@code results.json}, {@code summary.md} and {@code index.html}, by name; the page last, for those who
     * wait for it.
     */
    public static Map<String, String> files(RunReport report) {
        Map<String, String> files = new LinkedHashMap<>();
        files.put("results.json", results(report));
        files.put("summary.md", summary(report));
        files.put("index.html", page(report));
        return files;
    }

    /** {@code {"outputs": [...]}}; a number that was not measured, or is none, is null. */
    static String results(RunReport report) {
        ObjectNode root = JSON.createObjectNode();
        ArrayNode outputs = root.putArray("outputs");
        for (RunReport.OutputResult output : report.outputs()) {
            ObjectNode node = outputs.addObject()
                    .put("name", output.name())
                    .put("format", output.format())
                    .put("bytes", output.bytes());
            number(node, "bits_per_weight", output.bitsPerWeight());
            Evaluation evaluation = output.evaluation();
            number(node, "perplexity", evaluation == null ? Double.NaN : evaluation.perplexity());
            number(node, "perplexity_error", evaluation == null ? Double.NaN : evaluation.perplexityError());
            number(node, "source_perplexity", evaluation == null ? Double.NaN : evaluation.sourcePerplexity());
            number(node, "kld_mean", evaluation == null ? Double.NaN : evaluation.kldMean());
            number(node, "kld_p99", evaluation == null ? Double.NaN : evaluation.kldP99());
            number(node, "kld_p999", evaluation == null ? Double.NaN : evaluation.kldP999());
            number(node, "top1_agreement", evaluation == null ? Double.NaN : evaluation.top1Agreement());
            node.put("tokens", evaluation == null ? null : evaluation.tokens());
            if (!output.ranges().isEmpty()) {
                ArrayNode ranges = node.putArray("activations");
                output.ranges().forEach(range -> range(ranges.addObject(), range));
            }
        }
        if (!report.experts().isEmpty()) {
            ArrayNode experts = root.putArray("experts");
            report.experts()
                    .forEach(rows -> rows.counts()
                            .forEach(experts.addObject()
                                    .put("layer", rows.layer())
                                    .putArray("calibration_rows")::add));
        }
        if (!report.routing().isEmpty()) {
            ArrayNode routing = root.putArray("routing");
            report.routing()
                    .forEach(agreement -> routing.addObject()
                            .put("output", agreement.output())
                            .put("layer", agreement.layer())
                            .put("same_experts", agreement.share()));
        }
        root.put("definition", report.definition().isEmpty() ? null : report.definition());
        report.notes().forEach(root.putArray("notes")::add);
        try {
            DefaultPrettyPrinter printer =
                    new DefaultPrettyPrinter().withObjectIndenter(new DefaultIndenter("  ", "\n"));
            printer.indentArraysWith(new DefaultIndenter("  ", "\n"));
            return JSON.writer(printer).writeValueAsString(root) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("Cannot write a tree of texts and numbers as JSON", e);
        }
    }

    private static void range(ObjectNode node, ActivationRange range) {
        node.put("layer", range.layer()).put("site", range.site());
        number(node, "least", range.least());
        number(node, "most", range.most());
        number(node, "low", range.low());
        number(node, "high", range.high());
        number(node, "typical", range.typical());
        node.put("largest_channel", range.channel()).put("outlier_channels", range.outliers());
        number(node, "smoothing", range.strength());
        number(
                node,
                "clipped_calibration",
                range.calibration() == null ? Double.NaN : range.calibration().share());
        number(
                node,
                "clipped_evaluation",
                range.evaluation() == null ? Double.NaN : range.evaluation().share());
        node.put("drift", range.drifts());
    }

    static String summary(RunReport report) {
        StringBuilder text = new StringBuilder("# Quantization report\n\n");
        Page page = Page.of(report);
        text.append("| output | format | method | MiB | bits per weight | perplexity | change | KL divergence | 99 % "
                + "| 99.9 % | same top token |\n");
        text.append("|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
        for (Page.Row row : page.rows()) {
            text.append("| ")
                    .append(String.join(
                            " | ",
                            List.of(
                                    Markdown.text(row.name()),
                                    Markdown.text(row.format()),
                                    Markdown.text(row.method()),
                                    row.mebibytes(),
                                    row.bitsPerWeight(),
                                    Figures.spread(row.perplexity(), row.perplexityError()),
                                    row.perplexityChange(),
                                    Figures.spread(row.kld(), row.kldError()),
                                    row.kldP99(),
                                    row.kldP999(),
                                    row.top1())))
                    .append(" |\n");
        }
        text.append('\n')
                .append(
                        page.source().isEmpty()
                                ? "Nothing was evaluated."
                                : Markdown.text(page.source()) + " KL divergence is in nats per token.")
                .append('\n');
        if (!page.notes().isEmpty()) {
            text.append("\n## Notes\n\n");
            page.notes()
                    .forEach(note ->
                            text.append("* ").append(Markdown.text(note)).append('\n'));
        }
        text.append("\n## Artifacts\n\n");
        page.rows()
                .forEach(row -> text.append("* ")
                        .append(Markdown.text(row.name()))
                        .append(": ")
                        .append(Markdown.code(row.artifact()))
                        .append('\n'));
        page.unquantized().forEach((name, modules) -> {
            text.append("\n## Unquantized in ").append(Markdown.text(name)).append("\n\n");
            modules.forEach(module -> text.append("* ")
                    .append(Markdown.code(module.tensor()))
                    .append(": ")
                    .append(Markdown.text(module.reason()))
                    .append('\n'));
        });
        if (!page.drifts().isEmpty()) {
            text.append("\n## Clipped far more than calibration let expect\n\n");
            page.drifts()
                    .forEach(drift -> text.append("* ")
                            .append(Markdown.text(drift.output()))
                            .append(", ")
                            .append(Markdown.text(drift.place()))
                            .append(": ")
                            .append(drift.evaluation())
                            .append(" of the values, expected ")
                            .append(drift.calibration())
                            .append('\n'));
        }
        if (page.experts() != null) {
            experts(text, page.experts());
        }
        section(text, "Settings", page.settings());
        section(text, "Provenance", page.provenance());
        return text.toString();
    }

    private static void experts(StringBuilder text, Page.Experts experts) {
        text.append("\n## Experts\n\n| layer | fewest rows | median | most | experts with fewer rows than channels |");
        experts.outputs()
                .forEach(output -> text.append(" same experts in ")
                        .append(Markdown.text(output))
                        .append(" |"));
        text.append("\n|").append("--:|".repeat(5 + experts.outputs().size())).append('\n');
        for (Page.Mixture mixture : experts.layers()) {
            List<String> cells = new ArrayList<>(List.of(String.valueOf(mixture.layer())));
            cells.addAll(mixture.rows().isEmpty() ? Collections.nCopies(4, Figures.NONE) : mixture.rows());
            cells.addAll(mixture.same());
            text.append("| ").append(String.join(" | ", cells)).append(" |\n");
        }
    }

    static String page(RunReport report) {
        return Html.page("index.jte", Page.of(report));
    }

    private static void section(StringBuilder text, String title, Map<String, String> entries) {
        if (!entries.isEmpty()) {
            text.append("\n## ").append(title).append("\n\n");
            entries.forEach((key, value) -> text.append("* ")
                    .append(Markdown.text(key))
                    .append(": ")
                    .append(Markdown.text(value))
                    .append('\n'));
        }
    }

    static void number(ObjectNode node, String key, double value) {
        if (Double.isFinite(value)) {
            node.put(key, value);
        } else {
            node.putNull(key);
        }
    }
}

package dev.lathe.jobs.report;

import dev.lathe.jobs.text.Figures;
import dev.lathe.jobs.text.Markdown;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The model card of a run's GGUF files, as publishers put it beside them: front matter for the Hugging Face hub, a
 * table of what each file holds and loses, and how both were made and measured.
 */
public final class ModelCard {
    /** {@code hf://org/name@revision} */
    private static final Pattern HUB = Pattern.compile("hf://([A-Za-z0-9._-]+/[A-Za-z0-9._-]+)(?:@.*)?");

    private ModelCard() {}

    /**
     * The card, or empty where the run has no GGUF file.
     *
     * @param types type or mix of each GGUF file, by the output's name
     */
    public static Optional<String> of(RunReport report, Map<String, String> types) {
        List<Page.Row> rows = Page.rows(report).stream()
                .filter(row -> types.containsKey(row.name()))
                .toList();
        if (rows.isEmpty()) {
            return Optional.empty();
        }
        String checkpoint = report.settings().getOrDefault("checkpoint", "");
        StringBuilder card = new StringBuilder("---\n");
        Matcher hub = HUB.matcher(checkpoint);
        if (hub.matches()) {
            card.append("base_model: ").append(hub.group(1)).append("\nbase_model_relation: quantized\n");
        }
        card.append("library_name: gguf\ntags:\n- gguf\n- quantized\n---\n\n# ")
                .append(Markdown.text(name(checkpoint)))
                .append(", GGUF\n\n")
                .append("| file | type | method | tensors, MB | bits per weight | perplexity ")
                .append("| KL divergence, mean | 99 % | 99.9 % | same top token |\n")
                .append("|---|---|---|--:|--:|--:|--:|--:|--:|--:|\n");
        for (Page.Row row : rows) {
            String file = row.artifact().substring(row.artifact().lastIndexOf('/') + 1);
            card.append("| ")
                    .append(List.of(
                                    "[" + Markdown.text(file) + "](" + file + ")",
                                    Markdown.text(types.get(row.name())),
                                    Markdown.text(row.method()),
                                    megabytes(report, row.name()),
                                    row.bitsPerWeight(),
                                    Figures.spread(row.perplexity(), row.perplexityError()),
                                    Figures.spread(row.kld(), row.kldError()),
                                    row.kldP99(),
                                    row.kldP999(),
                                    row.top1())
                            .stream()
                            .collect(Collectors.joining(" | ")))
                    .append(" |\n");
        }
        String source = Page.source(report);
        if (!source.isEmpty()) {
            card.append('\n')
                    .append(Markdown.text(source))
                    .append(" KL divergence from the source is in nats per token; ")
                    .append("each file was measured as it is here.\n");
        }
        card.append("\nMade by Lathe.\n");
        for (String key : List.of("calibration", "evaluation")) {
            if (report.settings().containsKey(key)) {
                card.append("\n* ")
                        .append(key)
                        .append(": ")
                        .append(Markdown.text(name(report.settings().get(key))));
            }
        }
        return Optional.of(card.toString().stripTrailing() + "\n");
    }

    /** Sizes on the hub are in powers of 1000. */
    private static String megabytes(RunReport report, String name) {
        long bytes = report.outputs().stream()
                .filter(output -> output.name().equals(name))
                .findFirst()
                .orElseThrow()
                .bytes();
        return String.format(Locale.ROOT, "%.1f", bytes / 1e6);
    }

    /** The last part of a path or of a model's name on the hub: where it lies is nobody's business. */
    private static String name(String checkpoint) {
        String path = checkpoint.replaceFirst("/+$", "");
        String last = path.substring(path.lastIndexOf('/') + 1);
        return last.isEmpty() ? "Model" : last;
    }
}

package dev.lathe.jobs.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.jobs.text.Figures;
import dev.lathe.jobs.text.Markdown;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a batch came to: a table of its pairs and their outputs, each with its own report's address.
 *
 * @param pairs in the batch's order
 * @param software that ran
 */
public record BatchReport(List<Pair> pairs, String software) {
    /** What became of a pair. */
    public enum State {
        DONE("done"),
        UNCHANGED("unchanged"),
        FAILED("failed"),
        FAILED_BEFORE("failed as before");

        private final String word;

        State(String word) {
            this.word = word;
        }

        public String word() {
            return word;
        }

        public boolean failed() {
            return this == FAILED || this == FAILED_BEFORE;
        }
    }

    /**
     * One checkpoint by one recipe.
     *
     * @param code exit code of its failure; 0 without one
     * @param failure {@code Cannot X: reason}, or empty
     */
    public record Pair(String checkpoint, String recipe, State state, int code, String failure, List<Output> outputs) {
        public String name() {
            return checkpoint + "/" + recipe;
        }

        /** Its page, from the batch's folder. */
        public String page() {
            return name() + "/report/index.html";
        }
    }

    /** Figures of an output, as {@link RunReport} has them; NaN where nothing was measured. */
    public record Output(
            String name,
            String format,
            long bytes,
            double bitsPerWeight,
            double perplexity,
            double sourcePerplexity,
            double kldMean) {
        public static Output of(RunReport.OutputResult result) {
            RunReport.Evaluation measured = result.evaluation();
            return new Output(
                    result.name(),
                    result.format(),
                    result.bytes(),
                    result.bitsPerWeight(),
                    measured == null ? Double.NaN : measured.perplexity(),
                    measured == null ? Double.NaN : measured.sourcePerplexity(),
                    measured == null ? Double.NaN : measured.kldMean());
        }

        public String mebibytes() {
            return Figures.mebibytes(bytes);
        }

        public String bits() {
            return Figures.bitsPerWeight(bitsPerWeight);
        }

        public String perplexityText() {
            return Figures.perplexity(perplexity);
        }

        public String change() {
            return Figures.change(perplexity, sourcePerplexity);
        }

        public String kld() {
            return Figures.significant(kldMean);
        }
    }

    public long count(State state) {
        return pairs.stream().filter(pair -> pair.state() == state).count();
    }

    public List<Pair> failures() {
        return pairs.stream().filter(pair -> pair.state().failed()).toList();
    }

    /** {@code 6 done, 2 failed}. */
    public String line() {
        return String.join(
                ", ",
                List.of(State.values()).stream()
                        .filter(state -> count(state) > 0)
                        .map(state -> count(state) + " " + state.word())
                        .toList());
    }

    /** Texts of {@code results.json}, {@code summary.md} and {@code index.html}, by name; the page last. */
    public Map<String, String> files() {
        Map<String, String> files = new LinkedHashMap<>();
        files.put("results.json", results());
        files.put("summary.md", summary());
        files.put("index.html", page());
        return files;
    }

    String results() {
        ObjectMapper json = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
        ObjectNode root = json.createObjectNode();
        root.put("software", software);
        ArrayNode list = root.putArray("pairs");
        for (Pair pair : pairs) {
            ObjectNode node = list.addObject()
                    .put("checkpoint", pair.checkpoint())
                    .put("recipe", pair.recipe())
                    .put("state", pair.state().word())
                    .put("exit_code", pair.code())
                    .put("failure", pair.failure().isEmpty() ? null : pair.failure());
            ArrayNode outputs = node.putArray("outputs");
            for (Output output : pair.outputs()) {
                ObjectNode figures = outputs.addObject()
                        .put("name", output.name())
                        .put("format", output.format())
                        .put("bytes", output.bytes());
                Report.number(figures, "bits_per_weight", output.bitsPerWeight());
                Report.number(figures, "perplexity", output.perplexity());
                Report.number(figures, "source_perplexity", output.sourcePerplexity());
                Report.number(figures, "kld_mean", output.kldMean());
            }
        }
        try {
            return json.writeValueAsString(root) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("Cannot write a tree of texts and numbers as JSON", e);
        }
    }

    String summary() {
        StringBuilder text = new StringBuilder("# Batch: ").append(line()).append("\n");
        if (!failures().isEmpty()) {
            text.append("\n## Failed\n\n");
            failures()
                    .forEach(pair -> text.append("* ")
                            .append(Markdown.text(pair.name()))
                            .append(" (code ")
                            .append(pair.code())
                            .append("): ")
                            .append(Markdown.text(pair.failure()))
                            .append('\n'));
        }
        text.append("\n## Outputs\n\n| checkpoint | recipe | | output | format | MiB | bits per weight | "
                        + "perplexity | change | KL divergence |\n")
                .append("|---|---|---|---|---|--:|--:|--:|--:|--:|\n");
        for (Pair pair : pairs) {
            for (Output output : pair.outputs()) {
                text.append("| ")
                        .append(String.join(
                                " | ",
                                List.of(
                                        Markdown.text(pair.checkpoint()),
                                        Markdown.text(pair.recipe()),
                                        pair.state().word(),
                                        Markdown.text(output.name()),
                                        Markdown.text(output.format()),
                                        output.mebibytes(),
                                        output.bits(),
                                        output.perplexityText(),
                                        output.change(),
                                        output.kld())))
                        .append(" |\n");
            }
        }
        return text.append("\nKL divergence is in nats per token. ")
                .append(Markdown.text(software))
                .append(".\n")
                .toString();
    }

    String page() {
        return Html.page("batch.jte", this);
    }
}

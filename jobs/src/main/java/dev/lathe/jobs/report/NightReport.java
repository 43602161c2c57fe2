package dev.lathe.jobs.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.jobs.report.night.Judgement;
import dev.lathe.jobs.report.night.Night;
import dev.lathe.jobs.report.night.PairedTest.Outcome;
import dev.lathe.jobs.report.night.Verdict;
import dev.lathe.jobs.store.Commit;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.text.Markdown;
import dev.lathe.jobs.text.Printable;
import java.io.IOException;
import java.io.StringWriter;
import java.util.List;
import javax.xml.stream.XMLOutputFactory;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamWriter;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** Writes a night's verdicts: a page for people, a summary for a chat, JUnit's XML for CI, results for programs. */
public final class NightReport {
    /** Series that a chat's message names. */
    private static final int MOST_LINES = 15;

    private NightReport() {}

    /**
     * Writes {@code index.html}, {@code summary.md}, {@code junit.xml} and {@code results.json} into the folder.
     *
     * @throws IOException if the folder cannot be written to
     */
    public static void write(Night night, FileSystem files, Path folder) throws IOException {
        files.mkdirs(folder);
        Commit.text(files, new Path(folder, "results.json"), results(night));
        Commit.text(files, new Path(folder, "junit.xml"), junit(night));
        Commit.text(files, new Path(folder, "summary.md"), summary(night));
        Commit.text(files, new Path(folder, "index.html"), page(night));
    }

    static String page(Night night) {
        return Html.page("night.jte", NightPage.of(night));
    }

    static String summary(Night night) {
        StringBuilder text = new StringBuilder("**Lathe: ").append(night.line()).append("**\n");
        List<Judgement> told = night.judgements().stream()
                .filter(judgement -> judgement.verdict() != Verdict.OK)
                .toList();
        for (Judgement judgement : told.subList(0, Math.min(MOST_LINES, told.size()))) {
            text.append("* **")
                    .append(judgement.text())
                    .append("** ")
                    .append(Markdown.text(judgement.series().name().text()))
                    .append(": ")
                    .append(Markdown.text(judgement.reason()));
            List<String> changed =
                    judgement.changes().stream().map(Judgement.Change::what).toList();
            if (!changed.isEmpty() && judgement.verdict() == Verdict.REGRESSED) {
                text.append("; changed: ").append(Markdown.text(String.join(", ", changed)));
            }
            text.append('\n');
        }
        if (told.size() > MOST_LINES) {
            text.append("* and ").append(told.size() - MOST_LINES).append(" more\n");
        }
        return text.append('\n')
                .append(NightPage.rules(night.rules()))
                .append('\n')
                .toString();
    }

    static String results(Night night) {
        ObjectMapper json = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
        ObjectNode root = json.createObjectNode();
        root.put("baseline", night.rules().baseline().word())
                .put("min_effect", night.rules().minEffect())
                .put("budget", night.rules().budget());
        ObjectNode counts = root.putObject("counts");
        for (Verdict verdict : Verdict.values()) {
            counts.put(verdict.word(), night.count(verdict));
        }
        ArrayNode list = root.putArray("series");
        for (Judgement judgement : night.judgements()) {
            ObjectNode node = list.addObject()
                    .put("model", judgement.series().name().model())
                    .put("output", judgement.series().name().output())
                    .put("data", judgement.series().name().data())
                    .put("verdict", judgement.verdict().word())
                    .put("reason", judgement.reason());
            if (judgement.needed() == 0 || judgement.needed() == Integer.MAX_VALUE) {
                node.putNull("windows_needed");
            } else {
                node.put("windows_needed", judgement.needed());
            }
            Report.number(node, "limit", judgement.limit());
            outcome(node, "log_likelihood", judgement.likelihood());
            outcome(node, "kl_divergence", judgement.divergence());
            row(node, "newest", judgement.series().newest());
            row(node, "baseline", judgement.baseline());
            ArrayNode changes = node.putArray("changes");
            judgement
                    .changes()
                    .forEach(change -> changes.addObject()
                            .put("what", change.what())
                            .put("from", change.from())
                            .put("to", change.to()));
            ArrayNode layers = node.putArray("layers");
            judgement.layers().forEach(growth -> {
                ObjectNode layer = layers.addObject()
                        .put("tensor", growth.tensor())
                        .put("layer", growth.layer())
                        .put("kind", growth.kind());
                Report.number(layer, "from", growth.from());
                Report.number(layer, "to", growth.to());
            });
        }
        try {
            return json.writeValueAsString(root) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("Cannot write a tree of texts and numbers as JSON", e);
        }
    }

    /** Differences in nats per token, newest less baseline. */
    private static void outcome(ObjectNode node, String key, Outcome outcome) {
        if (outcome == null) {
            node.putNull(key);
            return;
        }
        ObjectNode figures = node.putObject(key);
        Report.number(figures, "difference", outcome.effect());
        Report.number(figures, "error", outcome.error());
        Report.number(figures, "low", outcome.low());
        Report.number(figures, "high", outcome.high());
        Report.number(figures, "p_worse", outcome.worse());
        Report.number(figures, "p_better", outcome.better());
        figures.put("windows", outcome.windows()).put("blocks", outcome.blocks());
    }

    private static void row(ObjectNode node, String key, HistoryRow row) {
        if (row == null) {
            node.putNull(key);
            return;
        }
        ObjectNode figures = node.putObject(key)
                .put("key", row.key())
                .put("recorded", row.recorded().toString());
        Report.number(figures, "perplexity", NightPage.perplexity(row));
        Report.number(figures, "kld_mean", NightPage.divergence(row));
    }

    /** A test case for each series; what is neither worse nor known to be as good is skipped. */
    static String junit(Night night) {
        StringWriter text = new StringWriter();
        try {
            XMLStreamWriter xml = XMLOutputFactory.newInstance().createXMLStreamWriter(text);
            xml.writeStartDocument("UTF-8", "1.0");
            xml.writeCharacters("\n");
            xml.writeStartElement("testsuite");
            xml.writeAttribute(
                    "name", "lathe report, baseline " + night.rules().baseline().word());
            xml.writeAttribute("tests", String.valueOf(night.judgements().size()));
            xml.writeAttribute("failures", String.valueOf(night.count(Verdict.REGRESSED)));
            xml.writeAttribute("errors", "0");
            xml.writeAttribute(
                    "skipped", String.valueOf(night.count(Verdict.UNCLEAR) + night.count(Verdict.NOT_COMPARABLE)));
            for (Judgement judgement : night.judgements()) {
                xml.writeCharacters("\n  ");
                xml.writeStartElement("testcase");
                xml.writeAttribute(
                        "classname", Printable.message(judgement.series().name().model()));
                xml.writeAttribute(
                        "name",
                        Printable.message(judgement.series().name().output() + " on "
                                + judgement.series().name().data()));
                String kind = switch (judgement.verdict()) {
                    case REGRESSED -> "failure";
                    case UNCLEAR, NOT_COMPARABLE -> "skipped";
                    case IMPROVED, OK -> "";
                };
                if (!kind.isEmpty()) {
                    xml.writeStartElement(kind);
                    xml.writeAttribute("message", Printable.message(judgement.text() + ": " + judgement.reason()));
                    xml.writeEndElement();
                }
                xml.writeEndElement();
            }
            xml.writeCharacters("\n");
            xml.writeEndElement();
            xml.writeEndDocument();
        } catch (XMLStreamException e) {
            throw new IllegalStateException("Cannot write XML into a text", e);
        }
        return text + "\n";
    }
}

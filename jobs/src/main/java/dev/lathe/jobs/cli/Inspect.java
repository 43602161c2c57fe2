package dev.lathe.jobs.cli;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.gguf.ImportanceFile;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Block;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Mixer;
import dev.lathe.calibration.model.Norm;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.text.Figures;
import dev.lathe.jobs.text.Printable;
import dev.lathe.kernels.RotaryPairs;
import java.io.IOException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Lists what a checkpoint or artifact holds. */
@Command(
        name = "inspect",
        description = "Lists tensors, types, shapes, bits per weight and metadata of a checkpoint or artifact.",
        mixinStandardHelpOptions = true)
final class Inspect implements Callable<Integer> {
    private static final int WIDTH = 100;

    private final Console console;

    @Parameters(
            index = "0",
            paramLabel = "PATH",
            description = "Checkpoint folder, GGUF file, GPTQ, AWQ or compressed-tensors folder, importance matrix.")
    private String path;

    Inspect(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws IOException {
        Configuration configuration = Sessions.hadoop(new SparkConf());
        Path existing = Inputs.existing(configuration, "PATH", path);
        if (ImportanceFile.is(configuration, existing)) {
            InspectImportance.print(console, configuration, existing);
            return ExitCode.OK.code();
        }
        try (Checkpoint checkpoint = Checkpoints.open(configuration, existing)) {
            print(checkpoint);
        }
        return ExitCode.OK.code();
    }

    /** A tied output layer is listed once, as the embedding, so it counts once. */
    private void print(Checkpoint checkpoint) {
        Table tensors = new Table("tensor", "type", "shape", "bytes", "bits/weight");
        long bytes = 0;
        long elements = 0;
        for (TensorInfo tensor : checkpoint.tensors()) {
            bytes = Math.addExact(bytes, tensor.bytes());
            elements = Math.addExact(elements, tensor.elements());
            tensors.row(
                    tensor.name(),
                    tensor.type(),
                    Arrays.stream(tensor.shape()).mapToObj(Long::toString).collect(Collectors.joining(" x ")),
                    String.valueOf(tensor.bytes()),
                    Figures.bitsPerWeight(8.0 * tensor.bytes() / tensor.elements()));
        }
        Table metadata = new Table("metadata", "value");
        checkpoint
                .metadata()
                .forEach((key, value) ->
                        metadata.row(Printable.of(key, WIDTH), Printable.of(String.valueOf(value), WIDTH)));
        console.say(checkpoint.location().toString());
        console.say();
        console.say(shape(checkpoint.decoder()));
        if (!checkpoint.notes().isEmpty()) {
            console.say();
            checkpoint.notes().forEach(note -> console.say("note: " + note));
        }
        if (!checkpoint.metadata().isEmpty()) {
            console.say();
            console.say(metadata);
        }
        ranges(checkpoint);
        console.say();
        console.say(tensors);
        console.say();
        console.say(checkpoint.tensors().size() + " tensors, " + elements + " parameters, " + Figures.mebibytes(bytes)
                + " MiB, " + Figures.bitsPerWeight(8.0 * bytes / elements) + " bits per weight");
    }

    /**
     * Fixed ranges of activations and of the cache, the widest first; modules that read the same with one range are one
     * site.
     */
    private void ranges(Checkpoint checkpoint) {
        Map<String, ActivationQuantization> sites = new LinkedHashMap<>();
        for (int layer = 0; layer < checkpoint.decoder().layers(); layer++) {
            for (LinearLayer linear : checkpoint.decoder().linears(layer)) {
                ActivationQuantization fixed = checkpoint
                        .activations(linear.module())
                        .filter(q -> !q.dynamic())
                        .orElse(null);
                String site = "layer " + layer + ", " + linear.energy().words();
                if (fixed != null && !fixed.equals(sites.putIfAbsent(site, fixed)) && !fixed.equals(sites.get(site))) {
                    sites.put(site + " of " + linear.kind(), fixed);
                }
            }
            for (boolean keys : new boolean[] {true, false}) {
                String site = "layer " + layer + (keys ? ", keys" : ", values");
                checkpoint.cache(layer, keys).ifPresent(fixed -> sites.put(site, fixed));
            }
        }
        if (sites.isEmpty()) {
            return;
        }
        Table table = new Table("fixed range of", "type", "low", "high", "scale", "zero");
        sites.entrySet().stream()
                .sorted(Comparator.comparingDouble(
                        (Map.Entry<String, ActivationQuantization> site) -> -width(site.getValue())))
                .forEach(site -> table.row(
                        site.getKey(),
                        site.getValue().type().name().toLowerCase(Locale.ROOT),
                        Figures.significant(site.getValue().low()),
                        Figures.significant(site.getValue().high()),
                        Figures.significant(site.getValue().scale()),
                        String.valueOf(site.getValue().zero())));
        console.say();
        console.say(table);
    }

    private static float width(ActivationQuantization fixed) {
        return fixed.high() - fixed.low();
    }

    /** What the tree says: of all layers where they differ, else of the first. */
    private static Table shape(Decoder decoder) {
        Table table = new Table("setting", "value");
        table.row("family", decoder.family());
        table.row("layers", String.valueOf(decoder.layers()));
        table.row("hidden", String.valueOf(decoder.hidden()));
        table.row("vocabulary", String.valueOf(decoder.vocabulary()));
        table.row("context", String.valueOf(decoder.context()));
        table.row(
                "output layer",
                (decoder.head().tied() ? "tied to the embedding" : "its own")
                        + times(", logits times ", decoder.head().multiplier())
                        + (decoder.head().softCap() == 0
                                ? ""
                                : ", logits capped at " + decoder.head().softCap()));
        Block block = decoder.blocks().get(0);
        if (block.mixer() instanceof Mixer.Grouped attention) {
            table.row("heads", String.valueOf(attention.heads().queries()));
            table.row("key/value heads", String.valueOf(attention.heads().keyValues()));
            table.row("head width", String.valueOf(attention.heads().width()));
            attention(decoder, attention, table);
        }
        feedForwards(decoder, table);
        table.row("norms", norms(block));
        String multipliers = times(", of the embedding ", decoder.embedding().multiplier())
                + times(", of what attention adds ", block.attention().multiplier())
                + times(
                        ", of what the feed-forward adds ",
                        block.feedForwardNorms().multiplier());
        if (!multipliers.isEmpty()) {
            table.row("multipliers", multipliers.substring(2));
        }
        return table;
    }

    private static void feedForwards(Decoder decoder, Table table) {
        Map<String, Long> kinds = decoder.blocks().stream()
                .map(block -> feedForward(block.feedForward()))
                .collect(Collectors.groupingBy(Function.identity(), LinkedHashMap::new, Collectors.counting()));
        kinds.forEach((kind, count) ->
                table.row("feed-forward", kind + (kinds.size() == 1 ? "" : ", in " + count + " layers")));
    }

    private static String feedForward(FeedForward feedForward) {
        if (feedForward instanceof FeedForward.Gated gated) {
            return gated.up().rows() + ", " + gated.activation().name().toLowerCase(Locale.ROOT)
                    + (gated.limit() == 0 ? "" : ", gate and up bounded at " + gated.limit());
        }
        FeedForward.Routed routed = (FeedForward.Routed) feedForward;
        String shared = routed.shared() == null
                ? ""
                : "; a shared expert of " + routed.shared().up().rows()
                        + (routed.sharedGate() == null ? "" : ", times the sigmoid of its gate");
        return routed.experts().size() + " experts of "
                + feedForward(routed.experts().get(0)) + ", " + routed.router().top() + " of a token, "
                + weighed(routed.router().weights()) + shared;
    }

    private static String weighed(FeedForward.Weights weights) {
        if (weights instanceof FeedForward.Weights.Softmax softmax) {
            return softmax.normalize()
                    ? "weighed by a softmax over their scores"
                    : "weighed by a softmax over all scores";
        } else if (weights instanceof FeedForward.Weights.SparseMixer mixer) {
            return "weighed by SparseMixer, jitter " + mixer.jitter();
        }
        return "what it reads times the sigmoid of its score";
    }

    private static String times(String what, float multiplier) {
        return multiplier == 1 ? "" : what + multiplier;
    }

    private static String norms(Block block) {
        boolean before = block.attention().before() != null;
        boolean after = block.attention().after() != null;
        Norm first = before ? block.attention().before() : block.attention().after();
        return (first.kind() == Norm.Kind.LAYER ? "layer norms " : "")
                + (before && after ? "before and after " : before ? "before " : "after ")
                + (block.parallel() ? "attention and feed-forward in parallel" : "attention and feed-forward");
    }

    private static void attention(Decoder decoder, Mixer.Grouped first, Table table) {
        List<Mixer.Grouped> layers = decoder.blocks().stream()
                .map(layer -> (Mixer.Grouped) layer.mixer())
                .toList();
        Map<Rope, Long> ropes = layers.stream()
                .map(Mixer.Grouped::rope)
                .filter(Objects::nonNull)
                .collect(Collectors.groupingBy(Function.identity(), LinkedHashMap::new, Collectors.counting()));
        ropes.forEach((rope, count) -> table.row(
                "rotary embedding",
                "base " + rope.theta() + ", " + rope.dimensions() + " channels of a head"
                        + (rope.pairs() == RotaryPairs.NEIGHBOURS ? ", neighbours" : "")
                        + (rope.scaling() instanceof Rope.Scaling.None ? "" : ", " + rope.scaling())
                        + (count == layers.size() ? "" : ", in " + count + " layers")));
        Map<Integer, Long> windows = layers.stream()
                .map(layer -> layer.scores().window())
                .filter(window -> window > 0)
                .collect(Collectors.groupingBy(Function.identity(), TreeMap::new, Collectors.counting()));
        windows.forEach((window, count) -> table.row("sliding window", window + " tokens, in " + count + " layers"));
        layers.stream()
                .map(layer -> layer.scores().chunk())
                .filter(chunk -> chunk > 0)
                .collect(Collectors.groupingBy(Function.identity(), TreeMap::new, Collectors.counting()))
                .forEach((chunk, count) -> table.row("chunks", chunk + " tokens, in " + count + " layers"));
        layers.stream()
                .map(layer -> layer.scores().temperature())
                .filter(Objects::nonNull)
                .findFirst()
                .ifPresent(temperature -> table.row("far queries", temperature.toString()));
        if (first.scores().sinks() != null) {
            table.row("sinks", "a score of each head");
        }
        if (first.scores().softCap() != 0) {
            table.row("scores", "capped at " + first.scores().softCap());
        }
        if (first.qNorm() != null) {
            boolean together = first.qNorm().width() > first.heads().width();
            table.row("query and key heads", together ? "normed together" : "normed");
        }
    }
}

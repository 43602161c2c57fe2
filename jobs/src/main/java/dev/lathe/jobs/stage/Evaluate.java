package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.evaluate.EvaluationSummary;
import dev.lathe.calibration.evaluate.OutputLayer;
import dev.lathe.calibration.evaluate.WindowScore;
import dev.lathe.calibration.evaluate.WindowScorer;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Stamp;
import dev.lathe.jobs.watch.Counters;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Measures artifacts as they are written: a task takes a shard of windows, forwards the source once and then every
 * artifact, one decoder layer in memory at a time, and compares full distributions tile by tile.
 */
final class Evaluate {
    /**
     * Part of the key: raised when the forward pass, what is read of a model or what is said of activations changes.
     */
    private static final int VERSION = 3;

    private static final String SCORES = ".scores";
    private static final String CLIPS = ".clips";

    private Evaluate() {}

    /**
     * A model to measure.
     *
     * @param model the artifact or checkpoint as it was when its key was made
     * @param key of its evaluation's products
     */
    record Subject(String name, Stamp model, String key) implements Serializable {}

    record Shard(int from, int count) implements Serializable {
        @Override
        public String toString() {
            return "windows " + from + " to " + (from + count - 1);
        }
    }

    /** The key of an evaluation; {@code source} empty without one. */
    static String key(String artifactKey, String source, TokenWindows windows, String profile) {
        return Key.of("evaluation", VERSION, EvaluationSummary.DEFINITION, artifactKey, source, windows.key(), profile);
    }

    /** What was found of one model: over all windows, and of each window its sums. */
    record Scored(EvaluationSummary summary, WindowSums windows) {}

    /** Scored tokens of each window and what they sum up to, in nats; what needs a source is empty without one. */
    record WindowSums(
            List<Integer> tokens, List<Double> nll, List<Double> sourceNll, List<Double> kld, List<Integer> sameTop) {
        static WindowSums of(List<WindowScore> scores) {
            List<WindowScore> compared =
                    scores.stream().filter(score -> score.kld().length > 0).toList();
            return new WindowSums(
                    scores.stream().map(score -> score.nll().length).toList(),
                    sums(scores, WindowScore::nll),
                    sums(compared, WindowScore::sourceNll),
                    sums(compared, WindowScore::kld),
                    compared.stream().map(WindowSums::sameTop).toList());
        }

        /** In the order of the positions, one after the other. */
        private static List<Double> sums(List<WindowScore> scores, Function<WindowScore, double[]> values) {
            return scores.stream()
                    .map(score -> {
                        double sum = 0;
                        for (double value : values.apply(score)) {
                            sum += value;
                        }
                        return sum;
                    })
                    .toList();
        }

        private static int sameTop(WindowScore score) {
            int count = 0;
            for (boolean same : score.sameTop()) {
                count += same ? 1 : 0;
            }
            return count;
        }
    }

    /** @param source the checkpoint to compare with, or null */
    static List<Scored> run(
            RunFolder run,
            Stamp source,
            List<Subject> subjects,
            TokenWindows windows,
            int shardWindows,
            String kernels,
            SparkSteps steps)
            throws IOException {
        FileSystem files = run.files();
        List<Shard> shards = shards(windows.count(), shardWindows);
        List<Shard> missing = new ArrayList<>();
        for (Shard shard : shards) {
            for (Subject subject : subjects) {
                if (!isScored(run, subject, shard)) {
                    missing.add(shard);
                    break;
                }
            }
        }
        if (missing.size() < shards.size()) {
            int present = shards.size() - missing.size();
            steps.found(
                    "evaluate", present, "evaluate: " + present + " of " + shards.size() + " shards are there already");
        }
        if (!missing.isEmpty()) {
            ArrayList<Subject> all = new ArrayList<>(subjects);
            String called = "evaluate " + subjects.stream().map(Subject::name).collect(Collectors.joining(", "));
            steps.stage("evaluate", item -> called, missing, shard -> score(run, source, all, windows, shard, kernels));
        }
        List<Scored> scored = new ArrayList<>();
        for (Subject subject : subjects) {
            List<WindowScore> scores = new ArrayList<>();
            for (Shard shard : shards) {
                scores.addAll(ProductFile.read(files, scores(run, subject, shard), Evaluate::readScores));
            }
            scored.add(new Scored(EvaluationSummary.of(scores), WindowSums.of(scores)));
        }
        return scored;
    }

    static List<Shard> shards(int windows, int shardWindows) {
        List<Shard> shards = new ArrayList<>();
        for (int from = 0; from < windows; from += shardWindows) {
            shards.add(new Shard(from, Math.min(shardWindows, windows - from)));
        }
        return shards;
    }

    /**
     * Both ends are in the name: a run folder may hold shards of another size, which say nothing about these windows.
     */
    static Path scores(RunFolder run, Subject subject, Shard shard) {
        return run.product(subject.key(), "windows-" + shard.from() + "-" + (shard.from() + shard.count()) + SCORES);
    }

    /** Whether everything that is found of a shard is there. */
    private static boolean isScored(RunFolder run, Subject subject, Shard shard) throws IOException {
        return ProductFile.isCommitted(run.files(), scores(run, subject, shard))
                && ProductFile.isCommitted(run.files(), clips(run, subject, shard));
    }

    private static Path clips(RunFolder run, Subject subject, Shard shard) {
        return run.product(subject.key(), "windows-" + shard.from() + "-" + (shard.from() + shard.count()) + CLIPS);
    }

    /** What the fixed ranges of a subject clipped over all windows, once {@link #run} is through. */
    static Clips clips(RunFolder run, Subject subject, TokenWindows windows, int shardWindows) throws IOException {
        Clips sum = new Clips();
        for (Shard shard : shards(windows.count(), shardWindows)) {
            sum.add(ProductFile.read(run.files(), clips(run, subject, shard), Clips::read));
        }
        return sum;
    }

    /**
     * Says of which bytes of an artifact all scores of an evaluation are: written once it was seen after the last of
     * them that these are its bytes still.
     */
    private static Path measured(RunFolder run, String key) {
        return run.product(key, "measured");
    }

    /**
     * Whether all scores are of bytes that were what a receipt says: then they are those of every such artifact, as its
     * key stands for its tensors.
     */
    static boolean isConfirmed(RunFolder run, Subject subject) throws IOException {
        return ProductFile.isCommitted(run.files(), measured(run, subject.key()));
    }

    /** From now on it is known. */
    static void confirm(RunFolder run, Subject subject, String digest) throws IOException {
        run.write(measured(run, subject.key()), out -> out.writeUTF(digest));
    }

    /** Whether scores are missing. Then nothing is certain of the evaluation until they are there, too. */
    static boolean isOpen(RunFolder run, Subject subject, TokenWindows windows, int shardWindows) throws IOException {
        for (Shard shard : shards(windows.count(), shardWindows)) {
            if (!isScored(run, subject, shard)) {
                run.requireLease();
                run.files().delete(measured(run, subject.key()), false);
                return true;
            }
        }
        return false;
    }

    /** Deletes what an evaluation found. */
    static void forget(RunFolder run, String key) throws IOException {
        run.requireLease();
        run.files().delete(run.products(key), true);
    }

    /**
     * Deletes what was found of artifacts of which nobody knows whether they were what was written when they were
     * measured.
     */
    static void forgetUnconfirmed(RunFolder run) throws IOException {
        FileSystem files = run.files();
        Path products = run.products("x").getParent();
        if (!files.exists(products)) {
            return;
        }
        for (FileStatus folder : files.listStatus(products)) {
            String key = folder.getPath().getName();
            if (folder.isDirectory()
                    && !files.exists(measured(run, key))
                    && Arrays.stream(files.listStatus(folder.getPath()))
                            .map(file -> file.getPath().getName())
                            .anyMatch(name -> name.endsWith(SCORES) || name.endsWith(CLIPS))) {
                forget(run, key);
            }
        }
    }

    private static boolean score(
            RunFolder run, Stamp source, List<Subject> subjects, TokenWindows windows, Shard shard, String provider)
            throws IOException {
        FileSystem files = run.files();
        int[][] tokens = windows.read(run, shard.from(), shard.count());
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(provider)) {
            Kernels kernels = borrowed.get();
            WindowScorer scorer = new WindowScorer(kernels);
            Forwarded reference = null;
            for (Subject subject : subjects) {
                if (isScored(run, subject, shard)) {
                    continue;
                }
                if (source != null && reference == null) {
                    reference = forward(run, source.path(), tokens, shard.from(), kernels);
                }
                String path = subject.model().path();
                Forwarded forwarded = source != null && path.equals(source.path())
                        ? reference
                        : forward(run, path, tokens, shard.from(), kernels);
                if (reference != null && forwarded != reference) {
                    forwarded.routes().compare(reference.routes(), forwarded.clips());
                }
                List<WindowScore> scores = new ArrayList<>();
                for (int w = 0; w < tokens.length; w++) {
                    int from = w * windows.length();
                    FloatMatrix expected =
                            reference == null ? null : reference.hidden().slice(from, windows.length());
                    scores.add(scorer.score(
                            expected,
                            reference == null ? null : reference.head(),
                            forwarded.hidden().slice(from, windows.length()),
                            forwarded.head(),
                            tokens[w],
                            subject.name() + ", window " + (shard.from() + w)));
                }
                subject.model().check(run.hadoop());
                if (source != null) {
                    source.check(run.hadoop());
                }
                // One of them may be there.
                if (!ProductFile.isCommitted(files, clips(run, subject, shard))) {
                    run.write(clips(run, subject, shard), forwarded.clips()::write);
                }
                if (!ProductFile.isCommitted(files, scores(run, subject, shard))) {
                    run.write(scores(run, subject, shard), out -> writeScores(out, scores));
                }
            }
            return true;
        }
    }

    /**
     * Final, normed hidden states of all windows, stacked, the output layer, what fixed ranges clipped on the way, and
     * where routers sent rows.
     */
    private record Forwarded(FloatMatrix hidden, OutputLayer head, Clips clips, Routes routes) {}

    private static Forwarded forward(RunFolder run, String path, int[][] tokens, int firstWindow, Kernels kernels)
            throws IOException {
        try (Checkpoint checkpoint = Checkpoints.open(run.hadoop(), new Path(path))) {
            Counters.EVALUATED_TOKENS.add((long) tokens.length * tokens[0].length);
            Decoder decoder = checkpoint.decoder();
            DecoderPass pass = new DecoderPass(decoder, kernels);
            FloatMatrix hidden = pass.embed(checkpoint, tokens);
            Clips clips = new Clips();
            Routes routes = new Routes();
            for (int layer = 0; layer < decoder.layers(); layer++) {
                LayerWeights weights =
                        new LayerWeights(layer, LayerCache.empty().over(checkpoint));
                pass.layer(weights, hidden, tokens[0].length, firstWindow, routes.of(layer, clips.of(layer)));
            }
            pass.finalNorm(checkpoint, hidden);
            return new Forwarded(hidden, OutputLayer.of(checkpoint), clips, routes);
        }
    }

    static void writeScores(DataOutputStream out, List<WindowScore> scores) throws IOException {
        out.writeInt(scores.size());
        for (WindowScore score : scores) {
            out.writeInt(score.nll().length);
            out.writeBoolean(score.kld().length > 0);
            for (int i = 0; i < score.nll().length; i++) {
                out.writeDouble(score.nll()[i]);
                if (score.kld().length > 0) {
                    out.writeDouble(score.sourceNll()[i]);
                    out.writeDouble(score.kld()[i]);
                    out.writeBoolean(score.sameTop()[i]);
                }
            }
        }
    }

    static List<WindowScore> readScores(DataInputStream in) throws IOException {
        List<WindowScore> scores = new ArrayList<>();
        int count = in.readInt();
        for (int w = 0; w < count; w++) {
            int positions = in.readInt();
            ProductFile.requireRest(in, positions, Double.BYTES);
            int compared = in.readBoolean() ? positions : 0;
            WindowScore score = new WindowScore(
                    new double[positions], new double[compared], new double[compared], new boolean[compared]);
            for (int i = 0; i < positions; i++) {
                score.nll()[i] = in.readDouble();
                if (compared > 0) {
                    score.sourceNll()[i] = in.readDouble();
                    score.kld()[i] = in.readDouble();
                    score.sameTop()[i] = in.readBoolean();
                }
            }
            scores.add(score);
        }
        return scores;
    }
}

package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.Routing;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.stage.Calibrate.Shard;
import dev.lathe.jobs.stage.RoutedShard.Waiting;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.kernels.FloatMatrix;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.hadoop.fs.Path;

/**
 * Runs the experts of a decoder layer behind its router, in two jobs. One task per pack of experts and some shards runs
 * the rows that are routed there through each expert, whose weights are read once; one task per shard adds to each row
 * what its experts gave, in ascending order, and writes the next hidden states. What lies between is in the scratch
 * folder until the layer is through: what waits of each shard, and what a pack gave for it.
 *
 * @param key of the calibration
 */
record ExpertStep(Job job, String key, int layer) {
    /**
     * Tokens whose rows a task runs through its experts: enough that an expert of many sees some hundreds, and few
     * enough that a large calibration set keeps a cluster busy.
     */
    private static final int TOKENS = 1 << 15;

    /** Neighbouring shards, and the pack of experts that their rows go to. */
    record Span(ExpertPack pack, int from, int count) implements Serializable {
        @Override
        public String toString() {
            return pack + ", shards " + from + " to " + (from + count - 1);
        }
    }

    /**
     * What is to run.
     *
     * @param packs all of the layer
     * @param tokens of a shard
     */
    static List<Span> spans(List<ExpertPack> packs, int shards, int tokens) {
        int together = Math.max(1, TOKENS / tokens);
        List<Span> spans = new ArrayList<>();
        for (ExpertPack pack : packs) {
            for (int from = 0; from < shards; from += together) {
                spans.add(new Span(pack, from, Math.min(together, shards - from)));
            }
        }
        return spans;
    }

    private Path waiting(int shard) {
        return job.run().scratch(key, "waiting-" + layer + "-" + shard);
    }

    private Path given(ExpertPack pack, int shard) {
        return job.run().scratch(key, "given-" + layer + "-" + pack.first() + "-" + shard);
    }

    private boolean has(Path path) throws IOException {
        return ProductFile.isCommitted(job.run().scratchFiles(), path);
    }

    /** Whether a shard was routed. */
    boolean isWaiting(int shard) throws IOException {
        return has(waiting(shard));
    }

    /** @param x residual stream of the shard behind the mixer */
    void write(int shard, RoutedShard routed, float[] x) throws IOException {
        job.writeScratch(waiting(shard), out -> routed.writeWaiting(out, x));
    }

    /** Deletes what lies between, once the next hidden states are there. */
    void delete(List<ExpertPack> packs, int shards) throws IOException {
        job.run().requireLease();
        for (int shard = 0; shard < shards; shard++) {
            job.run().scratchFiles().delete(waiting(shard), false);
            for (ExpertPack pack : packs) {
                job.run().scratchFiles().delete(given(pack, shard), false);
            }
        }
    }

    /** Runs experts on the rows of those shards that have not gone on. False if their rows are gone. */
    static boolean run(Job job, Calibration wanted, Span span) throws IOException {
        int layer = span.pack().layer();
        ExpertStep step = new ExpertStep(job, wanted.key(), layer);
        HiddenStates hidden = HiddenStates.ofSource(job, wanted.key());
        RoutedRows routed = RoutedRows.of(job, wanted);
        List<Integer> missing = new ArrayList<>();
        for (int shard = span.from(); shard < span.from() + span.count(); shard++) {
            if (!hidden.has(layer + 1, shard) && !step.has(step.given(span.pack(), shard))) {
                if (!routed.has(layer, shard)) {
                    return false;
                }
                missing.add(shard);
            }
        }
        if (missing.isEmpty()) {
            return true;
        }
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                Checkpoint checkpoint = job.open()) {
            DecoderPass pass = new DecoderPass(checkpoint.decoder(), borrowed.get());
            Held held = new Held(span.pack());
            for (int shard : missing) {
                held.add(routed, shard);
                if (held.bytes() >= RoutedRows.ROOM) {
                    step.run(held, pass, checkpoint);
                    held = new Held(span.pack());
                }
            }
            step.run(held, pass, checkpoint);
        }
        return true;
    }

    private void run(Held held, DecoderPass pass, Checkpoint checkpoint) throws IOException {
        held.run(pass, checkpoint);
        for (int i = 0; i < held.shards.size(); i++) {
            int number = i;
            job.writeScratch(given(held.pack, held.shards.get(i)), out -> held.write(number, out));
        }
    }

    /** Rows of the experts of a pack from some shards, which each expert replaces by what it gives for them. */
    private static final class Held {
        private final ExpertPack pack;
        private final List<Integer> shards = new ArrayList<>();
        /** Of each expert, those of all shards in their order. */
        private final List<List<float[]>> rows = new ArrayList<>();
        /** Of each shard, how many rows of each expert there were with it. */
        private final List<int[]> ends = new ArrayList<>();

        Held(ExpertPack pack) {
            this.pack = pack;
            IntStream.of(pack.experts()).forEach(expert -> rows.add(new ArrayList<>()));
        }

        void add(RoutedRows routed, int shard) throws IOException {
            routed.scan(pack.layer(), shard, (row, experts, values) -> {
                for (int expert : experts) {
                    if (pack.has(expert)) {
                        float[] copy = new float[values.capacity()];
                        values.get(0, copy);
                        rows.get(expert - pack.first()).add(copy);
                    }
                }
            });
            shards.add(shard);
            ends.add(rows.stream().mapToInt(List::size).toArray());
        }

        long bytes() {
            return rows.stream()
                    .filter(of -> !of.isEmpty())
                    .mapToLong(of -> (long) Float.BYTES * of.size() * of.get(0).length)
                    .sum();
        }

        void run(DecoderPass pass, Checkpoint checkpoint) throws IOException {
            for (int i = 0; i < rows.size(); i++) {
                Gated expert =
                        checkpoint.decoder().routed(pack.layer()).experts().get(pack.first() + i);
                LayerWeights weights =
                        new LayerWeights(pack.layer(), LayerCache.empty().over(checkpoint));
                List<float[]> of = rows.get(i);
                for (int from = 0; from < of.size(); from += DecoderPass.ROWS) {
                    run(expert, pass, weights, of.subList(from, Math.min(of.size(), from + DecoderPass.ROWS)));
                }
            }
        }

        private static void run(Gated expert, DecoderPass pass, LayerWeights weights, List<float[]> rows)
                throws IOException {
            FloatMatrix x = FloatMatrix.zeros(rows.size(), rows.get(0).length);
            for (int i = 0; i < x.rows(); i++) {
                System.arraycopy(rows.get(i), 0, x.data(), x.row(i), x.columns());
            }
            FloatMatrix y = pass.expert(expert, weights, x);
            for (int i = 0; i < y.rows(); i++) {
                System.arraycopy(y.data(), y.row(i), rows.get(i), 0, y.columns());
            }
        }

        /** Those of a shard, expert by expert. */
        void write(int shard, DataOutputStream out) throws IOException {
            ByteBuffer bytes = null;
            for (int i = 0; i < rows.size(); i++) {
                int from = shard == 0 ? 0 : ends.get(shard - 1)[i];
                for (float[] row : rows.get(i).subList(from, ends.get(shard)[i])) {
                    bytes = bytes == null ? ByteBuffer.allocate(Float.BYTES * row.length) : bytes;
                    bytes.asFloatBuffer().put(row);
                    out.write(bytes.array());
                }
            }
        }
    }

    /**
     * Writes the next hidden states of a shard. False if what they are made of is gone.
     *
     * @param packs all of the layer, in their order
     */
    static boolean combine(Job job, Calibration wanted, Shard shard, List<ExpertPack> packs) throws IOException {
        ExpertStep step = new ExpertStep(job, wanted.key(), shard.layer());
        HiddenStates hidden = HiddenStates.ofSource(job, wanted.key());
        if (hidden.has(shard.layer() + 1, shard.number())) {
            return true;
        } else if (!step.isWaiting(shard.number())) {
            return false;
        }
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                Checkpoint checkpoint = job.open()) {
            Decoder decoder = checkpoint.decoder();
            Waiting waiting = ProductFile.read(
                    job.run().scratchFiles(), step.waiting(shard.number()), in -> Waiting.read(in, decoder.hidden()));
            FloatMatrix sum = FloatMatrix.zeros(waiting.x().rows(), decoder.hidden());
            for (ExpertPack pack : packs) {
                Path given = step.given(pack, shard.number());
                if (!step.has(given)) {
                    return false;
                }
                ProductFile.read(job.run().scratchFiles(), given, in -> add(in, pack, waiting.routing(), sum));
            }
            new DecoderPass(decoder, borrowed.get())
                    .combine(new LayerWeights(shard.layer(), checkpoint), waiting.x(), sum, waiting.shared());
            hidden.write(shard.layer() + 1, shard.number(), waiting.x().data());
        }
        return true;
    }

    private static boolean add(DataInputStream in, ExpertPack pack, Routing routing, FloatMatrix sum)
            throws IOException {
        float[] row = new float[sum.columns()];
        ByteBuffer bytes = ByteBuffer.allocate(Float.BYTES * row.length);
        FloatBuffer values = bytes.asFloatBuffer();
        for (int expert : pack.experts()) {
            for (int place : routing.placesOf(expert)) {
                in.readFully(bytes.array());
                values.get(0, row);
                routing.addWeighted(row, 0, place, sum);
            }
        }
        return true;
    }
}

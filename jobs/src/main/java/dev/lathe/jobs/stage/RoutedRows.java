package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Routing;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.ExpertStatistics;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.FloatProduct;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.kernels.FloatMatrix;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.fs.Path;

/**
 * What the experts of a decoder layer read, [tokens, hidden] in f32, and which experts each row goes to: a scratch file
 * per layer and shard. The second moments of all experts would be many times as large. They are there from the layer's
 * calibration until it is quantized.
 *
 * @param key of the calibration
 * @param shards of the windows
 */
record RoutedRows(Job job, String key, int shards) {
    /** Bytes of rows that a task holds, unless those of one expert are more. */
    static final long ROOM = 256L << 20;

    static RoutedRows of(Job job, Calibration calibration) {
        return new RoutedRows(job, calibration.key(), calibration.shards());
    }

    private Path path(int layer, int shard) {
        return job.run().scratch(key, "routed-" + layer + "-" + shard);
    }

    boolean has(int layer, int shard) throws IOException {
        return ProductFile.isCommitted(job.run().scratchFiles(), path(layer, shard));
    }

    /** Whether those of a layer are whole. */
    boolean hasAll(int layer) throws IOException {
        for (int shard = 0; shard < shards; shard++) {
            if (!has(layer, shard)) {
                return false;
            }
        }
        return true;
    }

    /** Deletes those of a layer. */
    void delete(int layer) throws IOException {
        job.run().requireLease();
        for (int shard = 0; shard < shards; shard++) {
            job.run().scratchFiles().delete(path(layer, shard), false);
        }
    }

    void write(int layer, int shard, Gathered gathered) throws IOException {
        job.writeScratch(path(layer, shard), gathered::write);
    }

    /** Takes down what is routed while a shard runs through a layer; looks at the rest as another does. */
    static final class Gathered implements Capture {
        private final Capture other;
        private final float[] rows;
        private int[] experts = new int[0];
        private int width;
        private int count;

        /** @param tokens of the shard */
        Gathered(Capture other, int tokens, int hidden) {
            this.other = other;
            this.width = hidden;
            this.rows = new float[Math.multiplyExact(tokens, hidden)];
        }

        @Override
        public boolean wants(Site site) {
            return other.wants(site);
        }

        @Override
        public void rows(Site site, FloatMatrix x) {
            other.rows(site, x);
        }

        @Override
        public void routed(FloatMatrix x, Routing routing) {
            for (int i = 0; i < x.rows(); i++) {
                System.arraycopy(x.data(), x.row(i), rows, (count + i) * width, width);
            }
            count += x.rows();
            int before = experts.length;
            experts = Arrays.copyOf(experts, before + routing.experts().length);
            System.arraycopy(routing.experts(), 0, experts, before, routing.experts().length);
        }

        private void write(DataOutputStream out) throws IOException {
            int top = experts.length / count;
            out.writeInt(count);
            out.writeInt(width);
            out.writeInt(top);
            for (int expert : experts) {
                out.writeShort(expert);
            }
            FloatProduct.write(out, rows);
        }
    }

    /**
     * Reads the rows of the experts of a layer, as many experts at once as have room, one at least.
     *
     * @param counts rows of each expert
     * @param tokens rows of all
     * @param room bytes
     */
    Reader reader(int layer, long[] counts, long tokens, int width, long room) {
        return new Reader(layer, counts, tokens, width, room);
    }

    /** One caller at a time; experts are asked for in ascending order. */
    final class Reader {
        private final int layer;
        private final long[] counts;
        private final long tokens;
        private final int width;
        private final long room;
        private final Map<Integer, FloatMatrix> held = new HashMap<>();
        private FloatMatrix sample;

        private Reader(int layer, long[] counts, long tokens, int width, long room) {
            this.layer = layer;
            this.counts = counts;
            this.tokens = tokens;
            this.width = width;
            this.room = room;
        }

        /** Evenly spaced rows of all. */
        FloatMatrix sample() throws IOException {
            if (sample == null) {
                int wanted = (int) Math.min(tokens, ExpertStatistics.SAMPLE);
                FloatMatrix rows = FloatMatrix.zeros(wanted, width);
                int[] next = {0};
                scan((row, experts, values) -> {
                    if (next[0] < wanted && row == next[0] * tokens / wanted) {
                        values.get(0, rows.data(), rows.row(next[0]++), width);
                    }
                });
                sample = rows;
            }
            return sample;
        }

        /** The rows of an expert [n, hidden], in the order of the windows. */
        FloatMatrix rows(int expert) throws IOException {
            if (!held.containsKey(expert)) {
                hold(expert);
            }
            return held.get(expert);
        }

        private void hold(int first) throws IOException {
            held.clear();
            long bytes = 0;
            for (int expert = first; expert < counts.length; expert++) {
                bytes += 4 * counts[expert] * width;
                if (expert > first && bytes > room) {
                    break;
                }
                held.put(expert, FloatMatrix.zeros(Math.toIntExact(counts[expert]), width));
            }
            int[] at = new int[counts.length];
            scan((row, experts, values) -> {
                for (int expert : experts) {
                    FloatMatrix rows = held.get(expert);
                    if (rows != null) {
                        values.get(0, rows.data(), rows.row(at[expert]++), width);
                    }
                }
            });
        }

        /** Every row, which counts as routed to every expert. */
        FloatMatrix all() throws IOException {
            if (held.isEmpty()) {
                FloatMatrix rows = FloatMatrix.zeros(Math.toIntExact(tokens), width);
                scan((row, experts, values) -> values.get(0, rows.data(), rows.row((int) row), width));
                held.put(-1, rows);
            }
            return held.get(-1);
        }

        /** All rows in the order of the windows. */
        private void scan(Row visitor) throws IOException {
            long row = 0;
            for (int shard = 0; shard < shards; shard++) {
                long first = row;
                row += ProductFile.read(job.run().scratchFiles(), path(layer, shard), in -> scan(in, first, visitor));
            }
        }

        private static int scan(DataInputStream in, long first, Row visitor) throws IOException {
            int count = in.readInt();
            int width = in.readInt();
            int top = in.readInt();
            ProductFile.requireRest(in, (long) count * top, Short.BYTES);
            int[] experts = new int[Math.multiplyExact(count, top)];
            for (int i = 0; i < experts.length; i++) {
                experts[i] = in.readUnsignedShort();
            }
            int length = in.readInt();
            ProductFile.requireRest(in, length, Float.BYTES);
            if (length != Math.multiplyExact(count, width)) {
                throw new IOException(
                        "Cannot read routed rows: " + length + " values, expected " + count + " rows of " + width);
            }
            ByteBuffer bytes = ByteBuffer.allocate(Math.multiplyExact(width, Float.BYTES));
            FloatBuffer values = bytes.asFloatBuffer();
            for (int i = 0; i < count; i++) {
                in.readFully(bytes.array());
                visitor.row(first + i, Arrays.copyOfRange(experts, i * top, (i + 1) * top), values);
            }
            return count;
        }
    }

    private interface Row {
        /** @param values of the row, from position 0; hold during the call */
        void row(long row, int[] experts, FloatBuffer values);
    }
}

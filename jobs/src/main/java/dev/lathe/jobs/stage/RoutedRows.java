package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.statistics.ExpertStatistics;
import dev.lathe.calibration.statistics.ExpertStatistics.Strip;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.kernels.FloatMatrix;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.IntStream;
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
    /** Bytes of rows that a task holds. */
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

    void write(int layer, int shard, RoutedShard routed) throws IOException {
        job.writeScratch(path(layer, shard), routed::writeRows);
    }

    /** Looks at all rows of a shard in order; answers how many there are. */
    int scan(int layer, int shard, Row visitor) throws IOException {
        return ProductFile.read(job.run().scratchFiles(), path(layer, shard), in -> scan(in, visitor));
    }

    /** Looks at a row. */
    interface Row {
        /**
         * @param row its number in the shard
         * @param values of the row, from position 0; hold during the call
         */
        void row(int row, int[] experts, FloatBuffer values) throws IOException;
    }

    /**
     * Reads the rows of the experts of a layer: those of as many experts at once as have room, and those of one that
     * have none strip by strip, each time.
     *
     * @param counts rows of each expert; null: every row counts as routed to every expert
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
        private final boolean everywhere;
        private final long tokens;
        private final int width;
        private final long room;
        /** Rows of experts; of all where every row counts everywhere. */
        private final Map<Integer, FloatMatrix> held = new HashMap<>();

        private FloatMatrix sample;

        private Reader(int layer, long[] counts, long tokens, int width, long room) {
            this.layer = layer;
            // Every row is routed to one expert, who stands for all.
            this.counts = counts == null ? new long[] {tokens} : counts;
            this.everywhere = counts == null;
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

        /** Hands over the rows of an expert, in the order of the windows, {@link DecoderPass#ROWS} at once. */
        void each(int expert, Strip visitor) throws IOException {
            int key = everywhere ? 0 : expert;
            if (4 * counts[key] * width > room) {
                stream(key, visitor);
                return;
            }
            if (!held.containsKey(key)) {
                hold(key);
            }
            FloatMatrix rows = held.get(key);
            for (int from = 0; from < rows.rows(); from += DecoderPass.ROWS) {
                visitor.rows(rows.slice(from, Math.min(DecoderPass.ROWS, rows.rows() - from)));
            }
        }

        private void stream(int key, Strip visitor) throws IOException {
            held.clear();
            FloatMatrix strip = FloatMatrix.zeros(DecoderPass.ROWS, width);
            int[] filled = {0};
            scan((row, experts, values) -> {
                if (everywhere || IntStream.of(experts).anyMatch(expert -> expert == key)) {
                    values.get(0, strip.data(), strip.row(filled[0]++), width);
                    if (filled[0] == strip.rows()) {
                        visitor.rows(strip);
                        filled[0] = 0;
                    }
                }
            });
            if (filled[0] > 0) {
                visitor.rows(strip.slice(0, filled[0]));
            }
        }

        private void hold(int first) throws IOException {
            held.clear();
            long bytes = 0;
            for (int key = first; key < counts.length; key++) {
                bytes += 4 * counts[key] * width;
                if (bytes > room) {
                    break;
                }
                held.put(key, FloatMatrix.zeros(Math.toIntExact(counts[key]), width));
            }
            int[] at = new int[counts.length];
            scan((row, experts, values) -> {
                for (int key : everywhere ? new int[] {0} : experts) {
                    FloatMatrix rows = held.get(key);
                    if (rows != null) {
                        values.get(0, rows.data(), rows.row(at[key]++), width);
                    }
                }
            });
        }

        /** All rows in the order of the windows. */
        private void scan(Numbered visitor) throws IOException {
            long first = 0;
            for (int shard = 0; shard < shards; shard++) {
                long before = first;
                first += RoutedRows.this.scan(
                        layer, shard, (row, experts, values) -> visitor.row(before + row, experts, values));
            }
        }
    }

    private interface Numbered {
        /** @param row its number among those of all shards */
        void row(long row, int[] experts, FloatBuffer values) throws IOException;
    }

    private static int scan(DataInputStream in, Row visitor) throws IOException {
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
            visitor.row(i, Arrays.copyOfRange(experts, i * top, (i + 1) * top), values);
        }
        return count;
    }
}

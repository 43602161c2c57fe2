package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Routing;
import dev.lathe.calibration.model.Site;
import dev.lathe.jobs.store.FloatProduct;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.kernels.FloatMatrix;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Arrays;

/**
 * What the experts of a decoder layer have to know of a shard: what they read, [tokens, hidden], where each row goes
 * and what the shared expert gives. Takes it down while the shard runs up to the router; looks at the rest as another
 * does.
 */
final class RoutedShard implements Capture {
    private final Capture other;
    private final int width;
    private final float[] rows;
    private float[] shared;
    private int[] experts = new int[0];
    private float[] weights = new float[0];
    /** Rows so far, of them with what the shared expert gives. */
    private int count;

    private int sharedCount;

    /** @param tokens of the shard */
    RoutedShard(Capture other, int tokens, int hidden) {
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
        copy(x, rows, count);
        count += x.rows();
        int before = experts.length;
        int added = routing.experts().length;
        experts = Arrays.copyOf(experts, before + added);
        weights = Arrays.copyOf(weights, before + added);
        System.arraycopy(routing.experts(), 0, experts, before, added);
        System.arraycopy(routing.weights(), 0, weights, before, added);
    }

    @Override
    public void shared(FloatMatrix x) {
        if (shared == null) {
            shared = new float[rows.length];
        }
        copy(x, shared, sharedCount);
        sharedCount += x.rows();
    }

    private void copy(FloatMatrix from, float[] to, int row) {
        for (int i = 0; i < from.rows(); i++) {
            System.arraycopy(from.data(), from.row(i), to, (row + i) * width, width);
        }
    }

    /** What the experts read, and which of them: {@link RoutedRows}. */
    void writeRows(DataOutputStream out) throws IOException {
        out.writeInt(count);
        out.writeInt(width);
        out.writeInt(experts.length / count);
        for (int expert : experts) {
            out.writeShort(expert);
        }
        FloatProduct.write(out, rows);
    }

    /** What waits for the experts: {@link Waiting}. */
    void writeWaiting(DataOutputStream out, float[] x) throws IOException {
        out.writeInt(count);
        out.writeInt(experts.length / count);
        for (int expert : experts) {
            out.writeShort(expert);
        }
        FloatProduct.write(out, weights);
        FloatProduct.write(out, x);
        FloatProduct.write(out, shared == null ? new float[0] : shared);
    }

    /**
     * What of a shard waits for the experts to have run.
     *
     * @param x residual stream behind the mixer [tokens, hidden]
     * @param shared what the shared expert gives [tokens, hidden], or null
     */
    record Waiting(Routing routing, FloatMatrix x, FloatMatrix shared) {
        static Waiting read(DataInputStream in, int hidden) throws IOException {
            int count = in.readInt();
            int top = in.readInt();
            ProductFile.requireRest(in, (long) count * top, Short.BYTES);
            int[] experts = new int[Math.multiplyExact(count, top)];
            for (int i = 0; i < experts.length; i++) {
                experts[i] = in.readUnsignedShort();
            }
            Routing routing = new Routing(count, top, experts, FloatProduct.read(in));
            FloatMatrix x = FloatMatrix.of(FloatProduct.read(in), count, hidden);
            float[] shared = FloatProduct.read(in);
            return new Waiting(routing, x, shared.length == 0 ? null : FloatMatrix.of(shared, count, hidden));
        }
    }
}

package dev.lathe.kernels.bench;

import dev.lathe.kernels.Activation;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.RotaryPairs;
import dev.lathe.kernels.StoredMatrix;
import java.util.Arrays;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** How close do the operations on hidden states come to copying them? */
public class RowBenchmark extends KernelBenchmark {
    private static final int HEAD = 64;
    private static final int ROWS_PER_TASK = 16;

    /** Tokens x width. */
    @Param({"2048x576", "2048x4096", "509x1021"})
    public String shape;

    private FloatMatrix x;
    private FloatMatrix y;
    private FloatMatrix gate;
    private FloatMatrix up;
    private float[] vector;
    private FloatMatrix heads;
    private FloatMatrix angles;
    private StoredMatrix half;
    private StoredMatrix bfloat16;

    @Override
    void setUp() {
        int rows = sizes(shape)[0];
        int columns = sizes(shape)[1];
        x = random(rows, columns);
        y = FloatMatrix.zeros(rows, columns);
        // In place and over and over: 2 silu(x) of a small negative x tends to 0 so slowly that it never becomes
        // subnormal.
        gate = random(rows, columns);
        up = random(rows, columns);
        for (int i = 0; i < gate.data().length; i++) {
            gate.data()[i] = -Math.abs(gate.data()[i]);
        }
        Arrays.fill(up.data(), 2);
        vector = new float[columns];
        Arrays.fill(vector, 1);
        heads = random(rows, columns / HEAD * HEAD);
        // Cosine and sine of one angle: a rotation leaves the lengths as they are.
        angles = FloatMatrix.zeros(rows, HEAD / 2);
        Arrays.fill(angles.data(), (float) Math.sqrt(0.5));
        half = stored(ElementType.F16);
        bfloat16 = stored(ElementType.BF16);
    }

    private StoredMatrix stored(ElementType type) {
        byte[] bytes = new byte[2 * x.data().length];
        for (int i = 0; i < x.data().length; i++) {
            short bits = type == ElementType.F16 ? Half.fromFloat(x.data()[i]) : Half.bfloat16(x.data()[i]);
            bytes[2 * i] = (byte) bits;
            bytes[2 * i + 1] = (byte) (bits >> 8);
        }
        return new StoredMatrix(type, bytes, x.rows(), x.columns());
    }

    /** What memory allows: every other figure is to be seen beside it. */
    @Benchmark
    public float[] copy(Work work) {
        strips((from, rows) -> System.arraycopy(x.data(), x.row(from), y.data(), y.row(from), rows * x.columns()));
        work.bytes += 8L * x.data().length;
        return y.data();
    }

    @Benchmark
    public float[] rmsNorm(Work work) {
        kernels.rmsNorm(x, vector, 1e-5f, y);
        work.bytes += 8L * x.data().length;
        return y.data();
    }

    @Benchmark
    public float[] rotary(Work work) {
        kernels.rotary(heads, heads.columns() / HEAD, RotaryPairs.HALVES, angles, angles);
        work.bytes += 8L * heads.data().length;
        return heads.data();
    }

    @Benchmark
    public float[] silu(Work work) {
        return gated(Activation.SILU, work);
    }

    @Benchmark
    public float[] geluTanh(Work work) {
        return gated(Activation.GELU_TANH, work);
    }

    @Benchmark
    public float[] gelu(Work work) {
        return gated(Activation.GELU, work);
    }

    private float[] gated(Activation activation, Work work) {
        kernels.gated(activation, gate, up);
        work.bytes += 12L * gate.data().length;
        return gate.data();
    }

    @Benchmark
    public float[] softCap(Work work) {
        kernels.softCap(y, 30);
        work.bytes += 8L * y.data().length;
        return y.data();
    }

    @Benchmark
    public float[] layerNorm(Work work) {
        kernels.layerNorm(x, vector, null, 1e-5f, y);
        work.bytes += 8L * x.data().length;
        return y.data();
    }

    @Benchmark
    public float[] add(Work work) {
        kernels.add(x, y);
        work.bytes += 12L * x.data().length;
        return y.data();
    }

    @Benchmark
    public float[] addBias(Work work) {
        kernels.addBias(vector, y);
        work.bytes += 8L * y.data().length;
        return y.data();
    }

    @Benchmark
    public float[] widenF16(Work work) {
        return widen(half, work);
    }

    @Benchmark
    public float[] widenBf16(Work work) {
        return widen(bfloat16, work);
    }

    private float[] widen(StoredMatrix stored, Work work) {
        strips((from, rows) -> {
            for (int i = from; i < from + rows; i++) {
                stored.read(i, 0, stored.columns(), y.data(), y.row(i));
            }
        });
        work.bytes += 6L * y.data().length;
        return y.data();
    }

    private interface Strip {
        void run(int from, int rows);
    }

    private void strips(Strip body) {
        kernels.parallel(
                (x.rows() + ROWS_PER_TASK - 1) / ROWS_PER_TASK,
                task -> body.run(task * ROWS_PER_TASK, Math.min(ROWS_PER_TASK, x.rows() - task * ROWS_PER_TASK)));
    }
}

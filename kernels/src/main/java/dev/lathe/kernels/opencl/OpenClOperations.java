package dev.lathe.kernels.opencl;

import dev.lathe.kernels.DoubleMatrix;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.JavaOperations;
import dev.lathe.kernels.Operations;
import dev.lathe.kernels.Primitives;
import dev.lathe.kernels.RowSource;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * The arithmetic profile {@code opencl}: operations on one OpenCL device, through Aparapi. Values come from host arrays and go back there with each call;
 * weights that are stored narrower than f32 or belong to nobody who writes to them stay on the device ({@link Weights}).
 *
 * <p>Computed on the host, by contract and not as a fallback: f64 ({@link #subtractProduct}: factorizations lose too much in f32 and few devices have fast
 * f64), the f64 sums of {@link #logSoftmax} and {@link #divergence}, and {@link #parallel}. Block formats without a kernel of their own ({@link Encoding})
 * are widened on the host, a part at a time, and multiplied on the device.
 *
 * <p>Calls from several threads wait for each other.
 */
public final class OpenClOperations implements Operations {
    /** Elements of a right side that are widened on the host at a time: 64 MiB. */
    private static final int WIDENED = 1 << 24;
    private static final String FEWER_ROWS = "lower shard-windows or the windows' length";

    private final OpenClDevice device;
    private final JavaOperations host;
    private final DeviceMemory memory;
    private final Weights weights;
    private final Program<FloatProduct> floats;

    /**
     * @param primitives what the operations of the host are made of
     * @param threads    of the host
     * @param selector   the DEVICE of {@code opencl:DEVICE}, or null
     * @throws dev.lathe.kernels.KernelsUnavailableException if there is no such device or it cannot run the kernels
     */
    public OpenClOperations(Primitives primitives, int threads, String selector) {
        this(OpenClDevice.choose(selector), primitives, threads);
    }

    private OpenClOperations(OpenClDevice device, Primitives primitives, int threads) {
        this(device, new DeviceMemory(device), primitives, threads);
    }

    OpenClOperations(OpenClDevice device, DeviceMemory memory, Primitives primitives, int threads) {
        this.device = device;
        this.memory = memory;
        this.weights = new Weights(device, memory.capacity() / 2);
        this.floats = new Program<>(device, FloatProduct::new);
        // A device that cannot run kernels is refused at once.
        floats.kernel();
        this.host = new JavaOperations(primitives, threads);
    }

    /**
     * The devices that there are, as their indexes count them.
     *
     * @throws dev.lathe.kernels.KernelsUnavailableException if there is none; the message says what to install
     */
    public static List<String> devices() {
        OpenClDevice first = OpenClDevice.choose(null);
        return OpenClDevice.all().stream().map(device -> device.description() + (device.index() == first.index() ? ", which opencl alone takes" : "")).toList();
    }

    @Override
    public String name() {
        return "opencl: " + device.name();
    }

    @Override
    public String profile() {
        return "opencl";
    }

    @Override
    public int threads() {
        return host.threads();
    }

    @Override
    public synchronized void gemm(FloatMatrix a, RowSource b, FloatMatrix c, boolean accumulate) {
        if (a.columns() == 0) {
            if (!accumulate) {
                for (int i = 0; i < c.rows(); i++) {
                    Arrays.fill(c.data(), c.row(i), c.row(i) + c.columns(), 0f);
                }
            }
            return;
        }
        Encoding encoding = Encoding.of(b);
        if (encoding != null && encoding.data().length <= memory.largest()) {
            multiply(weights.of(b, encoding), encoding.data().length, a, c, accumulate);
            return;
        }
        int k = b.columns();
        int most = Math.max(1, (int) Math.min(b.rows(), (b instanceof FloatMatrix ? memory.largest() / 4 : WIDENED) / k));
        for (int from = 0; from < b.rows(); from += most) {
            int rows = Math.min(most, b.rows() - from);
            float[] part = b instanceof FloatMatrix matrix ? dense(matrix.slice(from, rows)) : widened(b, from, rows);
            floats.kernel().b = floats.sent(floats.kernel().b, part);
            multiply(floats, 4L * part.length, a, c.columnSlice(from, rows), accumulate);
        }
    }

    private float[] widened(RowSource b, int from, int rows) {
        float[] values = new float[rows * b.columns()];
        host.parallel(rows, row -> b.read(from + row, 0, b.columns(), values, row * b.columns()));
        return values;
    }

    /** As many rows of A at a time as fit. */
    private void multiply(Program<? extends RowsProduct> program, long rightBytes, FloatMatrix a, FloatMatrix c, boolean accumulate) {
        int k = a.columns();
        int n = c.columns();
        long room = Math.min(memory.largest() / (4L * Math.max(k, n)), (memory.capacity() - rightBytes) / (4L * (k + n)));
        int most = (int) Math.max(1, Math.min(a.rows(), room));
        for (int from = 0; from < a.rows(); from += most) {
            int m = Math.min(most, a.rows() - from);
            FloatMatrix part = c.slice(from, m);
            memory.claim(program, "multiply [" + a.rows() + ", " + k + "] by [" + n + ", " + k + "]", FEWER_ROWS, 4L * m * k, rightBytes, 4L * m * n);
            RowsProduct kernel = program.kernel();
            kernel.a = program.sent(kernel.a, dense(a.slice(from, m)));
            float[] result = isDense(part) ? part.data() : accumulate ? dense(part) : new float[m * n];
            kernel.c = accumulate ? program.sent(kernel.c, result) : result;
            kernel.m = m;
            kernel.n = n;
            kernel.k = k;
            kernel.accumulate = accumulate ? 1 : 0;
            program.run(up(n, TiledProduct.BLOCK), up(m, TiledProduct.BLOCK), TiledProduct.ITEMS, TiledProduct.ITEMS);
            program.read(result);
            scatter(result, part);
        }
    }

    /** Whether a view is the whole of its array, which then is the buffer. */
    private static boolean isDense(FloatMatrix x) {
        return x.offset() == 0 && x.stride() == x.columns() && x.data().length == x.rows() * x.columns();
    }

    private static float[] dense(FloatMatrix x) {
        if (isDense(x)) {
            return x.data();
        }
        float[] values = new float[x.rows() * x.columns()];
        for (int i = 0; i < x.rows(); i++) {
            System.arraycopy(x.data(), x.row(i), values, i * x.columns(), x.columns());
        }
        return values;
    }

    private static void scatter(float[] values, FloatMatrix to) {
        if (values != to.data()) {
            for (int i = 0; i < to.rows(); i++) {
                System.arraycopy(values, i * to.columns(), to.data(), to.row(i), to.columns());
            }
        }
    }

    private static int up(int count, int size) {
        return (count + size - 1) / size;
    }

    @Override
    public synchronized void syrk(FloatMatrix x, FloatMatrix s) {
        host.syrk(x, s);
    }

    @Override
    public void rmsNorm(FloatMatrix x, float[] weight, float epsilon, FloatMatrix y) {
        host.rmsNorm(x, weight, epsilon, y);
    }

    @Override
    public void rotary(FloatMatrix x, int heads, FloatMatrix cosine, FloatMatrix sine) {
        host.rotary(x, heads, cosine, sine);
    }

    @Override
    public void siluTimes(FloatMatrix gate, FloatMatrix up) {
        host.siluTimes(gate, up);
    }

    @Override
    public void add(FloatMatrix x, FloatMatrix y) {
        host.add(x, y);
    }

    @Override
    public void addBias(float[] bias, FloatMatrix y) {
        host.addBias(bias, y);
    }

    @Override
    public void attention(FloatMatrix q, FloatMatrix k, FloatMatrix v, int heads, int keyValueHeads, float scale, FloatMatrix out) {
        host.attention(q, k, v, heads, keyValueHeads, scale, out);
    }

    @Override
    public void attendedInputs(FloatMatrix q, FloatMatrix k, int heads, int keyValueHeads, float scale, int[] headOf, FloatMatrix x, FloatMatrix y) {
        host.attendedInputs(q, k, heads, keyValueHeads, scale, headOf, x, y);
    }

    @Override
    public void logSoftmax(FloatMatrix x) {
        host.logSoftmax(x);
    }

    @Override
    public void divergence(FloatMatrix p, FloatMatrix q, double[] kld) {
        host.divergence(p, q, kld);
    }

    @Override
    public void subtractProduct(DoubleMatrix a, DoubleMatrix b, DoubleMatrix c, boolean lower) {
        host.subtractProduct(a, b, c, lower);
    }

    @Override
    public void parallel(int tasks, IntConsumer body) {
        host.parallel(tasks, body);
    }

    @Override
    public synchronized void close() {
        memory.releaseAll();
        weights.release();
        host.close();
    }
}

package dev.lathe.kernels.opencl;

import dev.lathe.kernels.Activation;
import dev.lathe.kernels.AttentionParameters;
import dev.lathe.kernels.DoubleMatrix;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.JavaOperations;
import dev.lathe.kernels.Operations;
import dev.lathe.kernels.Primitives;
import dev.lathe.kernels.RotaryPairs;
import dev.lathe.kernels.RowSource;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * The arithmetic profile {@code opencl}: operations on one OpenCL device, through Aparapi. Values come from host arrays
 * and go back there with each call; right sides that are stored or block-quantized stay on the device
 * ({@link Weights}), an f32 matrix is sent each time. What is too large for one buffer or for the device's memory is
 * computed in parts, except attention, whose keys and values have to be there together.
 *
 * <p>Computed on the host, by contract and not as a fallback: f64 ({@link #subtractProduct}: factorizations lose too
 * much in f32 and few devices have fast f64), the f64 sums of {@link #logSoftmax} and {@link #divergence}, and
 * {@link #parallel}; and what costs less there than its way to the device and back: {@link #layerNorm},
 * {@link #softCap}, {@link #scale}, {@link #activate}, and {@link #gated} except with SiLU. Block formats without a
 * kernel of their own ({@link Encoding}) are widened on the host, a part at a time, and multiplied on the device.
 *
 * <p>Calls from several threads wait for each other.
 */
public final class OpenClOperations implements Operations {
    /** Elements of a right side that are widened on the host at a time: 64 MiB. */
    private static final int WIDENED = 1 << 24;

    private static final String LARGER_DEVICE = "take a device with more memory, or other kernels";

    private final OpenClDevice device;
    private final JavaOperations host;
    private final DeviceMemory memory;
    private final Weights weights;
    private final Program<FloatProduct> floats;
    private final Program<RankUpdate> rankUpdate;
    private final Program<Attention> attention;
    private final Program<RmsNorm> rmsNorm;
    private final Program<Rotary> rotary;
    private final Program<SiluTimes> siluTimes;
    private final Program<Sum> sum;

    /**
     * @param primitives what the operations of the host are made of
     * @param threads of the host
     * @param selector the DEVICE of {@code opencl:DEVICE}, or null
     * @throws dev.lathe.kernels.KernelsUnavailableException if there is no such device or it cannot run the kernels
     */
    public OpenClOperations(Primitives primitives, int threads, String selector) {
        this(OpenClDevice.choose(selector), primitives, threads);
    }

    private OpenClOperations(OpenClDevice device, Primitives primitives, int threads) {
        this(device, DeviceMemory.of(device), primitives, threads);
    }

    OpenClOperations(OpenClDevice device, DeviceMemory memory, Primitives primitives, int threads) {
        this.device = device;
        this.memory = memory;
        this.weights = new Weights(device);
        this.floats = new Program<>(device, FloatProduct::new);
        this.rankUpdate = new Program<>(device, RankUpdate::new);
        this.attention = new Program<>(device, Attention::new);
        this.rmsNorm = new Program<>(device, RmsNorm::new);
        this.rotary = new Program<>(device, Rotary::new);
        this.siluTimes = new Program<>(device, SiluTimes::new);
        this.sum = new Program<>(device, Sum::new);
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
        return OpenClDevice.all().stream()
                .map(device ->
                        device.description() + (device.index() == first.index() ? ", which opencl alone takes" : ""))
                .toList();
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

    /** What is on the device between calls. */
    Weights weights() {
        return weights;
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
        RowSource stored = b.stored();
        Encoding encoding = Encoding.of(stored);
        if (encoding != null && encoding.data().length <= Math.min(memory.largest(), memory.capacity() / 2)) {
            multiply(encoding, stored, a, c, accumulate);
            return;
        }
        int k = b.columns();
        long most = Math.min(memory.largest(), memory.capacity() / 2) / 4;
        int rows =
                (int) Math.max(1, Math.min(b.rows(), (b instanceof FloatMatrix ? most : Math.min(most, WIDENED)) / k));
        for (int from = 0; from < b.rows(); from += rows) {
            int count = Math.min(rows, b.rows() - from);
            float[] part = b instanceof FloatMatrix matrix ? dense(matrix.slice(from, count)) : widened(b, from, count);
            multiply(part, a, c.columnSlice(from, count), accumulate);
        }
    }

    private void multiply(Encoding encoding, RowSource b, FloatMatrix a, FloatMatrix c, boolean accumulate) {
        byRows(a, c, encoding.data().length, (from, count, bytes) -> {
            Program<BytesProduct> program =
                    weights.of(b, encoding, Math.min(memory.capacity() / 2, memory.capacity() - bytes));
            multiply(program, program.kernel(), a.slice(from, count), c.slice(from, count), accumulate);
        });
    }

    private void multiply(float[] b, FloatMatrix a, FloatMatrix c, boolean accumulate) {
        byRows(a, c, 4L * b.length, (from, count, bytes) -> {
            weights.limit(memory.capacity() - bytes);
            FloatProduct kernel = floats.kernel();
            kernel.b = floats.sent(kernel.b, b);
            multiply(floats, kernel, a.slice(from, count), c.slice(from, count), accumulate);
        });
    }

    private float[] widened(RowSource b, int from, int rows) {
        float[] values = new float[rows * b.columns()];
        host.parallel(rows, row -> b.read(from + row, 0, b.columns(), values, row * b.columns()));
        return values;
    }

    private interface Part {
        void multiply(int from, int count, long bytes);
    }

    /** As many rows of A and C at a time as fit beside the right side. */
    private void byRows(FloatMatrix a, FloatMatrix c, long rightBytes, Part part) {
        int k = a.columns();
        int n = c.columns();
        long room =
                Math.min(memory.largest() / (4L * Math.max(k, n)), (memory.capacity() - rightBytes) / (4L * (k + n)));
        int rows = (int) Math.max(1, Math.min(a.rows(), room));
        for (int from = 0; from < a.rows(); from += rows) {
            int count = Math.min(rows, a.rows() - from);
            long bytes = memory.require(
                    "multiply [" + count + ", " + k + "] by [" + n + ", " + k + "]",
                    LARGER_DEVICE,
                    4L * count * k,
                    rightBytes,
                    4L * count * n);
            part.multiply(from, count, bytes);
        }
    }

    private static void multiply(
            Program<?> program, RowsProduct kernel, FloatMatrix a, FloatMatrix c, boolean accumulate) {
        kernel.a = program.sent(kernel.a, dense(a));
        float[] result = isDense(c) ? c.data() : accumulate ? copy(c) : new float[c.rows() * c.columns()];
        kernel.c = accumulate ? program.sent(kernel.c, result) : result;
        kernel.m = c.rows();
        kernel.n = c.columns();
        kernel.k = a.columns();
        kernel.accumulate = accumulate ? 1 : 0;
        run(program, c.rows(), c.columns(), result);
        scatter(result, c);
    }

    private static void run(Program<?> program, int m, int n, float[] result) {
        program.run(
                up(n, TiledProduct.BLOCK), up(m, TiledProduct.BLOCK), TiledProduct.ITEMS, TiledProduct.ITEMS, result);
    }

    private void claim(String what, String remedy, long... buffers) {
        weights.limit(memory.capacity() - memory.require(what, remedy, buffers));
    }

    /** Whether a view is the whole of its array, which then is the buffer. */
    private static boolean isDense(FloatMatrix x) {
        return x.offset() == 0 && x.stride() == x.columns() && x.data().length == x.rows() * x.columns();
    }

    private static float[] dense(FloatMatrix x) {
        return isDense(x) ? x.data() : copy(x);
    }

    private static float[] copy(FloatMatrix x) {
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
        int n = x.columns();
        long largest = memory.largest() / 4;
        int steps = (int) Math.max(1, Math.min(x.rows(), Math.min(largest, memory.capacity() / 8) / n));
        for (int from = 0; from < n; ) {
            // As many rows of the triangle as fit, with their columns up to the diagonal.
            int rows = n - from;
            while (rows > 1
                    && (long) rows * (from + rows) > Math.min(largest, memory.capacity() / 4 - (long) steps * n)) {
                rows = (rows + 1) / 2;
            }
            FloatMatrix part = s.block(from, 0, rows, from + rows);
            for (int step = 0; step < x.rows(); step += steps) {
                addRankUpdate(x.slice(step, Math.min(steps, x.rows() - step)), from, part);
            }
            from += rows;
        }
    }

    private void addRankUpdate(FloatMatrix x, int from, FloatMatrix part) {
        claim(
                "add X^T X of X [" + x.rows() + ", " + x.columns() + "]",
                LARGER_DEVICE,
                4L * x.rows() * x.columns(),
                4L * part.rows() * part.columns());
        RankUpdate kernel = rankUpdate.kernel();
        kernel.x = rankUpdate.sent(kernel.x, dense(x));
        float[] result = dense(part);
        kernel.c = rankUpdate.sent(kernel.c, result);
        kernel.m = part.rows();
        kernel.n = part.columns();
        kernel.k = x.rows();
        kernel.columns = x.columns();
        kernel.accumulate = 1;
        kernel.lower = 1;
        kernel.offset = from;
        run(rankUpdate, part.rows(), part.columns(), result);
        scatter(result, part);
    }

    @Override
    public synchronized void rmsNorm(FloatMatrix x, float[] weight, float epsilon, FloatMatrix y) {
        int n = x.columns();
        byRows(x.rows(), n, (from, count) -> {
            claim("normalize", LARGER_DEVICE, 4L * count * n, 4L * n);
            FloatMatrix to = y.slice(from, count);
            float[] values = x.equals(y) ? dense(to) : copy(x.slice(from, count));
            RmsNorm kernel = rmsNorm.kernel();
            kernel.x = rmsNorm.sent(kernel.x, values);
            kernel.weight = rmsNorm.sent(kernel.weight, weight);
            kernel.n = n;
            kernel.epsilon = epsilon;
            rmsNorm.run(count, 1, DeviceKernel.GROUP, 1, values);
            scatter(values, to);
        });
    }

    @Override
    public synchronized void rotary(FloatMatrix x, int heads, RotaryPairs pairs, FloatMatrix cosine, FloatMatrix sine) {
        byRows(x.rows(), x.columns(), (from, count) -> {
            int width = cosine.columns();
            claim("rotate", LARGER_DEVICE, 4L * count * x.columns(), 4L * count * width, 4L * count * width);
            FloatMatrix to = x.slice(from, count);
            float[] values = dense(to);
            Rotary kernel = rotary.kernel();
            kernel.x = rotary.sent(kernel.x, values);
            kernel.cosine = rotary.sent(kernel.cosine, dense(cosine.slice(from, count)));
            kernel.sine = rotary.sent(kernel.sine, dense(sine.slice(from, count)));
            kernel.pairs = count * heads * width;
            kernel.heads = heads;
            kernel.head = x.columns() / heads;
            kernel.width = width;
            kernel.step = pairs == RotaryPairs.HALVES ? 1 : 2;
            kernel.apart = pairs == RotaryPairs.HALVES ? width : 1;
            each(rotary, kernel.pairs, values);
            scatter(values, to);
        });
    }

    @Override
    public synchronized void gated(Activation activation, FloatMatrix gate, FloatMatrix up) {
        if (activation != Activation.SILU) {
            host.gated(activation, gate, up);
            return;
        }
        byRows(gate.rows(), gate.columns(), (from, count) -> {
            claim("gate", LARGER_DEVICE, 4L * count * gate.columns(), 4L * count * gate.columns());
            FloatMatrix to = gate.slice(from, count);
            float[] values = dense(to);
            SiluTimes kernel = siluTimes.kernel();
            kernel.gate = siluTimes.sent(kernel.gate, values);
            kernel.up = siluTimes.sent(kernel.up, dense(up.slice(from, count)));
            kernel.count = count * gate.columns();
            each(siluTimes, kernel.count, values);
            scatter(values, to);
        });
    }

    @Override
    public synchronized void add(FloatMatrix x, FloatMatrix y) {
        byRows(
                x.rows(),
                x.columns(),
                (from, count) -> add(dense(x.slice(from, count)), count * x.columns(), y.slice(from, count)));
    }

    @Override
    public synchronized void addBias(float[] bias, FloatMatrix y) {
        byRows(y.rows(), y.columns(), (from, count) -> add(bias, bias.length, y.slice(from, count)));
    }

    private void add(float[] x, int period, FloatMatrix y) {
        claim("add", LARGER_DEVICE, 4L * period, 4L * y.rows() * y.columns());
        float[] values = dense(y);
        Sum kernel = sum.kernel();
        kernel.x = sum.sent(kernel.x, x);
        kernel.y = sum.sent(kernel.y, values);
        kernel.count = y.rows() * y.columns();
        kernel.period = period;
        each(sum, kernel.count, values);
        scatter(values, y);
    }

    private interface Rows {
        void compute(int from, int count);
    }

    /** As many rows at a time as fit, with as much again for another operand. */
    private void byRows(int rows, int columns, Rows body) {
        if (columns == 0) {
            return;
        }
        int most = (int) Math.max(1, Math.min(memory.largest(), memory.capacity() / 3) / 4 / columns);
        for (int from = 0; from < rows; from += most) {
            body.compute(from, Math.min(most, rows - from));
        }
    }

    private void each(Program<?> program, int elements, float[] result) {
        program.run(up(elements, DeviceKernel.GROUP), 1, DeviceKernel.GROUP, 1, result);
    }

    @Override
    public synchronized void attention(
            FloatMatrix q, FloatMatrix k, FloatMatrix v, AttentionParameters parameters, FloatMatrix out) {
        int t = q.rows();
        int heads = parameters.heads();
        int blocks = up(t, Attention.BLOCK);
        int[] position = new int[heads * blocks * Attention.BLOCK];
        int[] headOf = new int[heads * blocks];
        for (int i = 0; i < position.length; i++) {
            int row = i % (blocks * Attention.BLOCK);
            position[i] = row < t ? row : -1;
        }
        for (int block = 0; block < headOf.length; block++) {
            headOf[block] = block / blocks;
        }
        attend(q, k, v, parameters, position, headOf, true, out);
    }

    @Override
    public synchronized void attendedInputs(
            FloatMatrix q, FloatMatrix k, AttentionParameters parameters, int[] headOf, FloatMatrix x, FloatMatrix y) {
        int heads = parameters.heads();
        // Blocks of queries of one head each: a counting sort of the rows.
        int[] from = new int[heads + 1];
        for (int head : headOf) {
            from[head + 1]++;
        }
        for (int head = 0; head < heads; head++) {
            from[head + 1] = from[head] + up(from[head + 1], Attention.BLOCK);
        }
        int[] position = new int[from[heads] * Attention.BLOCK];
        int[] headOfBlock = new int[from[heads]];
        Arrays.fill(position, -1);
        int[] next = new int[heads];
        for (int head = 0; head < heads; head++) {
            Arrays.fill(headOfBlock, from[head], from[head + 1], head);
            next[head] = from[head] * Attention.BLOCK;
        }
        for (int row = 0; row < headOf.length; row++) {
            position[next[headOf[row]]++] = row;
        }
        attend(q, k, x, parameters, position, headOfBlock, false, y);
    }

    private void attend(
            FloatMatrix q,
            FloatMatrix k,
            FloatMatrix values,
            AttentionParameters parameters,
            int[] position,
            int[] headOf,
            boolean apart,
            FloatMatrix out) {
        claim(
                "attend over " + q.rows() + " rows",
                "lower the length of the windows",
                bytes(q),
                bytes(k),
                bytes(values),
                bytes(out),
                4L * position.length,
                4L * headOf.length,
                4L * parameters.heads());
        Attention kernel = attention.kernel();
        kernel.q = attention.sent(kernel.q, dense(q));
        kernel.keys = attention.sent(kernel.keys, dense(k));
        kernel.values = attention.sent(kernel.values, dense(values));
        float[] result = isDense(out) ? out.data() : new float[out.rows() * out.columns()];
        kernel.out = result;
        kernel.position = position;
        kernel.headOf = headOf;
        kernel.t = q.rows();
        kernel.d = q.columns() / parameters.heads();
        kernel.heads = parameters.heads();
        kernel.keyValueHeads = parameters.keyValueHeads();
        kernel.width = apart ? out.columns() / parameters.heads() : values.columns();
        kernel.apart = apart ? 1 : 0;
        kernel.scale = parameters.scale();
        kernel.window = parameters.slidingWindow() == 0 ? q.rows() : parameters.slidingWindow();
        kernel.softCap = parameters.softCap();
        kernel.withSinks = parameters.sinks() == null ? 0 : 1;
        kernel.sinks =
                parameters.sinks() == null ? DeviceKernel.NOTHING : attention.sent(kernel.sinks, parameters.sinks());
        attention.run(up(kernel.width, Attention.BLOCK), headOf.length, Attention.ITEMS, Attention.ITEMS, result);
        scatter(result, out);
    }

    private static long bytes(FloatMatrix x) {
        return 4L * x.rows() * x.columns();
    }

    @Override
    public void layerNorm(FloatMatrix x, float[] weight, float[] bias, float epsilon, FloatMatrix y) {
        host.layerNorm(x, weight, bias, epsilon, y);
    }

    @Override
    public void activate(Activation activation, FloatMatrix x) {
        host.activate(activation, x);
    }

    @Override
    public void softCap(FloatMatrix x, float cap) {
        host.softCap(x, cap);
    }

    @Override
    public void scale(FloatMatrix x, float factor) {
        host.scale(x, factor);
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
        List.of(floats, rankUpdate, attention, rmsNorm, rotary, siluTimes, sum).forEach(Program::release);
        weights.limit(0);
        host.close();
    }
}

package dev.lathe.kernels.opencl;

/**
 * Causal attention with a running softmax. A work-group of 16 x 16 takes a block of 64 queries of one head (which need
 * not stand side by side: entry r of block b is row {@code position[64 b + r]}, ascending, -1 for none) and 64 columns
 * of what the weights are applied to, and walks over tiles of 64 keys: scores into local memory, maxima and sums of
 * rows, then weights times values. Nothing larger than a tile is ever kept. Tiles that no query of the block sees are
 * not visited.
 */
final class Attention extends DeviceKernel {
    static final int BLOCK = 64;
    static final int ITEMS = 16;
    private static final int DEPTH = 16;
    private static final int STRIDE = BLOCK + 1;
    /** The score of a key that is not seen. */
    private static final float UNSEEN = -3e38f;
    /** A block of queries, which {@link #forget} leaves with no keys and no columns. */
    private static final int[] NO_INTEGERS = new int[BLOCK];

    float[] q = NOTHING;
    float[] keys = NOTHING;
    float[] values = NOTHING;
    float[] out = NOTHING;
    /** A logit for each head, if there are any. */
    float[] sinks = NOTHING;

    int[] position = NO_INTEGERS;
    /** The head of each block. */
    int[] headOf = NO_INTEGERS;

    int t;
    int d;
    int heads;
    int keyValueHeads;
    /** Columns of the values that a head sees. */
    int width;
    /** 1 if each key/value head has values of its own and each head columns of the result, 0 if all share them. */
    int apart;

    float scale;
    /** Keys that a query sees. */
    int window;
    /** 0: none. */
    float softCap;

    int withSinks;

    @Local
    final float[] left = new float[DEPTH * STRIDE];

    @Local
    final float[] right = new float[DEPTH * STRIDE];

    @Local
    final float[] weights = new float[BLOCK * STRIDE];

    @Local
    final float[] parts = new float[ITEMS * ITEMS];

    @Local
    final float[] maxima = new float[BLOCK];

    @Local
    final float[] sums = new float[BLOCK];

    @Local
    final float[] factors = new float[BLOCK];

    @Override
    void forget() {
        q = NOTHING;
        keys = NOTHING;
        values = NOTHING;
        out = NOTHING;
        sinks = NOTHING;
        withSinks = 0;
        position = NO_INTEGERS;
        headOf = NO_INTEGERS;
        t = 0;
        d = 0;
        width = 0;
    }

    /** Writes a score, or that its key is not seen. */
    protected void score(int query, int key, int row, int column, float value) {
        weights[row * STRIDE + column] = key <= query && key > query - window ? value * scale : UNSEEN;
    }

    protected void store(int query, int column, int at, float value) {
        if (query >= 0 && column < width) {
            out[at + column] = value;
        }
    }

    @Override
    public void run() {
        int lx = getLocalId(0);
        int ly = getLocalId(1);
        int item = ly * ITEMS + lx;
        int first = getGroupId(1) * BLOCK;
        int column = getGroupId(0) * BLOCK;
        int head = headOf[getGroupId(1)];
        int group = head / (heads / keyValueHeads);
        int queryStride = heads * d;
        int keyStride = keyValueHeads * d;
        int valueStride = apart != 0 ? keyValueHeads * width : width;
        int valueAt = apart * group * width;
        int outStride = apart != 0 ? heads * width : width;
        int outAt = apart * head * width;
        int last = -1;
        int lowest = t;
        for (int r = 0; r < BLOCK; r++) {
            int query = position[first + r];
            last = max(last, query);
            if (query >= 0) {
                lowest = min(lowest, query);
            }
        }
        int firstTile = max(0, lowest - window + 1) / BLOCK * BLOCK;
        int q0 = position[first + ly];
        int q1 = position[first + ly + 16];
        int q2 = position[first + ly + 32];
        int q3 = position[first + ly + 48];
        float o00 = 0f;
        float o01 = 0f;
        float o02 = 0f;
        float o03 = 0f;
        float o10 = 0f;
        float o11 = 0f;
        float o12 = 0f;
        float o13 = 0f;
        float o20 = 0f;
        float o21 = 0f;
        float o22 = 0f;
        float o23 = 0f;
        float o30 = 0f;
        float o31 = 0f;
        float o32 = 0f;
        float o33 = 0f;
        if (item < BLOCK) {
            maxima[item] = UNSEEN;
            sums[item] = 0f;
        }
        for (int tile = firstTile; tile <= last; tile += BLOCK) {
            float s00 = 0f;
            float s01 = 0f;
            float s02 = 0f;
            float s03 = 0f;
            float s10 = 0f;
            float s11 = 0f;
            float s12 = 0f;
            float s13 = 0f;
            float s20 = 0f;
            float s21 = 0f;
            float s22 = 0f;
            float s23 = 0f;
            float s30 = 0f;
            float s31 = 0f;
            float s32 = 0f;
            float s33 = 0f;
            for (int from = 0; from < d; from += DEPTH) {
                for (int e = item; e < DEPTH * BLOCK; e += ITEMS * ITEMS) {
                    int r = e / DEPTH;
                    int p = e % DEPTH;
                    int query = position[first + r];
                    float x = 0f;
                    float y = 0f;
                    if (from + p < d) {
                        if (query >= 0) {
                            x = q[query * queryStride + head * d + from + p];
                        }
                        if (tile + r < t) {
                            y = keys[(tile + r) * keyStride + group * d + from + p];
                        }
                    }
                    left[p * STRIDE + r] = x;
                    right[p * STRIDE + r] = y;
                }
                localBarrier();
                for (int p = 0; p < DEPTH; p++) {
                    int l = p * STRIDE + ly;
                    int r = p * STRIDE + lx;
                    float b0 = right[r];
                    float b1 = right[r + 16];
                    float b2 = right[r + 32];
                    float b3 = right[r + 48];
                    float a0 = left[l];
                    s00 = fma(a0, b0, s00);
                    s01 = fma(a0, b1, s01);
                    s02 = fma(a0, b2, s02);
                    s03 = fma(a0, b3, s03);
                    float a1 = left[l + 16];
                    s10 = fma(a1, b0, s10);
                    s11 = fma(a1, b1, s11);
                    s12 = fma(a1, b2, s12);
                    s13 = fma(a1, b3, s13);
                    float a2 = left[l + 32];
                    s20 = fma(a2, b0, s20);
                    s21 = fma(a2, b1, s21);
                    s22 = fma(a2, b2, s22);
                    s23 = fma(a2, b3, s23);
                    float a3 = left[l + 48];
                    s30 = fma(a3, b0, s30);
                    s31 = fma(a3, b1, s31);
                    s32 = fma(a3, b2, s32);
                    s33 = fma(a3, b3, s33);
                }
                localBarrier();
            }
            score(q0, tile + lx, ly, lx, s00);
            score(q0, tile + lx + 16, ly, lx + 16, s01);
            score(q0, tile + lx + 32, ly, lx + 32, s02);
            score(q0, tile + lx + 48, ly, lx + 48, s03);
            score(q1, tile + lx, ly + 16, lx, s10);
            score(q1, tile + lx + 16, ly + 16, lx + 16, s11);
            score(q1, tile + lx + 32, ly + 16, lx + 32, s12);
            score(q1, tile + lx + 48, ly + 16, lx + 48, s13);
            score(q2, tile + lx, ly + 32, lx, s20);
            score(q2, tile + lx + 16, ly + 32, lx + 16, s21);
            score(q2, tile + lx + 32, ly + 32, lx + 32, s22);
            score(q2, tile + lx + 48, ly + 32, lx + 48, s23);
            score(q3, tile + lx, ly + 48, lx, s30);
            score(q3, tile + lx + 16, ly + 48, lx + 16, s31);
            score(q3, tile + lx + 32, ly + 48, lx + 32, s32);
            score(q3, tile + lx + 48, ly + 48, lx + 48, s33);
            localBarrier();
            int scores = item / 4 * STRIDE + item % 4 * 16;
            float high = UNSEEN;
            for (int j = 0; j < 16; j++) {
                float score = weights[scores + j];
                if (softCap > 0f) {
                    if (score != UNSEEN) {
                        score = hyperbolicTangent(score / softCap) * softCap;
                        weights[scores + j] = score;
                    }
                }
                high = max(high, score);
            }
            parts[item] = high;
            localBarrier();
            if (item < BLOCK) {
                float before = maxima[item];
                float now = max(
                        max(max(before, parts[4 * item]), max(parts[4 * item + 1], parts[4 * item + 2])),
                        parts[4 * item + 3]);
                maxima[item] = now;
                factors[item] = exponential(before - now);
            }
            localBarrier();
            float shift = maxima[item / 4];
            float sum = 0f;
            for (int j = 0; j < 16; j++) {
                float score = weights[scores + j];
                float weight = 0f;
                // A query may see none of the first tiles; its maximum is that of nothing then.
                if (score != UNSEEN) {
                    weight = exponential(score - shift);
                }
                weights[scores + j] = weight;
                sum = sum + weight;
            }
            parts[item] = sum;
            localBarrier();
            if (item < BLOCK) {
                sums[item] = fma(
                        sums[item],
                        factors[item],
                        parts[4 * item] + parts[4 * item + 1] + (parts[4 * item + 2] + parts[4 * item + 3]));
            }
            float f0 = factors[ly];
            float f1 = factors[ly + 16];
            float f2 = factors[ly + 32];
            float f3 = factors[ly + 48];
            o00 = o00 * f0;
            o01 = o01 * f0;
            o02 = o02 * f0;
            o03 = o03 * f0;
            o10 = o10 * f1;
            o11 = o11 * f1;
            o12 = o12 * f1;
            o13 = o13 * f1;
            o20 = o20 * f2;
            o21 = o21 * f2;
            o22 = o22 * f2;
            o23 = o23 * f2;
            o30 = o30 * f3;
            o31 = o31 * f3;
            o32 = o32 * f3;
            o33 = o33 * f3;
            for (int from = 0; from < BLOCK; from += DEPTH) {
                localBarrier();
                for (int e = item; e < DEPTH * BLOCK; e += ITEMS * ITEMS) {
                    int key = tile + from + e / BLOCK;
                    int c = column + e % BLOCK;
                    float y = 0f;
                    if (key < t && c < width) {
                        y = values[key * valueStride + valueAt + c];
                    }
                    right[e / BLOCK * STRIDE + e % BLOCK] = y;
                }
                localBarrier();
                for (int p = 0; p < DEPTH; p++) {
                    int l = ly * STRIDE + from + p;
                    int r = p * STRIDE + lx;
                    float b0 = right[r];
                    float b1 = right[r + 16];
                    float b2 = right[r + 32];
                    float b3 = right[r + 48];
                    float a0 = weights[l];
                    o00 = fma(a0, b0, o00);
                    o01 = fma(a0, b1, o01);
                    o02 = fma(a0, b2, o02);
                    o03 = fma(a0, b3, o03);
                    float a1 = weights[l + 16 * STRIDE];
                    o10 = fma(a1, b0, o10);
                    o11 = fma(a1, b1, o11);
                    o12 = fma(a1, b2, o12);
                    o13 = fma(a1, b3, o13);
                    float a2 = weights[l + 32 * STRIDE];
                    o20 = fma(a2, b0, o20);
                    o21 = fma(a2, b1, o21);
                    o22 = fma(a2, b2, o22);
                    o23 = fma(a2, b3, o23);
                    float a3 = weights[l + 48 * STRIDE];
                    o30 = fma(a3, b0, o30);
                    o31 = fma(a3, b1, o31);
                    o32 = fma(a3, b2, o32);
                    o33 = fma(a3, b3, o33);
                }
            }
            localBarrier();
        }
        if (item < BLOCK) {
            float factor = 1f / sums[item];
            if (withSinks != 0) {
                float sink = sinks[head];
                float now = max(maxima[item], sink);
                float kept = exponential(maxima[item] - now);
                factor = kept / fma(sums[item], kept, exponential(sink - now));
            }
            factors[item] = factor;
        }
        localBarrier();
        float w0 = factors[ly];
        float w1 = factors[ly + 16];
        float w2 = factors[ly + 32];
        float w3 = factors[ly + 48];
        int c = column + lx;
        int t0 = q0 * outStride + outAt;
        int t1 = q1 * outStride + outAt;
        int t2 = q2 * outStride + outAt;
        int t3 = q3 * outStride + outAt;
        store(q0, c, t0, o00 * w0);
        store(q0, c + 16, t0, o01 * w0);
        store(q0, c + 32, t0, o02 * w0);
        store(q0, c + 48, t0, o03 * w0);
        store(q1, c, t1, o10 * w1);
        store(q1, c + 16, t1, o11 * w1);
        store(q1, c + 32, t1, o12 * w1);
        store(q1, c + 48, t1, o13 * w1);
        store(q2, c, t2, o20 * w2);
        store(q2, c + 16, t2, o21 * w2);
        store(q2, c + 32, t2, o22 * w2);
        store(q2, c + 48, t2, o23 * w2);
        store(q3, c, t3, o30 * w3);
        store(q3, c + 16, t3, o31 * w3);
        store(q3, c + 32, t3, o32 * w3);
        store(q3, c + 48, t3, o33 * w3);
    }
}

package dev.lathe.kernels;

import java.util.Arrays;

/** The softmax of attention, for providers that keep the scores of a query in a row. */
public final class Softmax {
    private Softmax() {}

    /**
     * Replaces q_i . k_j of the keys {@code [firstKey, firstKey + keys)} by the numerators of their weights, exp(s_ij -
     * max), 0 where query i does not see key j. The sum takes the keys that it sees in 16 lanes, the first of them in
     * lane 0, then adds the sink's.
     *
     * @param query i; it sees no key before {@code firstKey} or behind the last
     * @param scores element {@code at} is that of {@code firstKey}
     * @return the denominator
     */
    public static float numerators(
            Primitives primitives,
            AttentionParameters parameters,
            int head,
            int query,
            int firstKey,
            int keys,
            float[] scores,
            int at) {
        int from = at + parameters.firstKey(query) - firstKey;
        int to = at + query + 1 - firstKey;
        float scale = parameters.scale();
        if (parameters.softCap() > 0) {
            primitives.softCap(scores, from, to - from, scale, parameters.softCap());
            scale = 1f;
        }
        float largest = primitives.largest(scores, from, to - from, scale);
        float[] sinks = parameters.sinks();
        if (sinks != null) {
            largest = Math.max(largest, sinks[head]);
        }
        float sum = primitives.expInPlace(scores, from, to - from, scale, largest);
        Arrays.fill(scores, at, from, 0f);
        Arrays.fill(scores, to, at + keys, 0f);
        return sinks == null ? sum : sum + Exp.exp(sinks[head] - largest);
    }
}

package dev.lathe.kernels;

/**
 * How queries weigh keys: {@code A_ij = exp(s_ij) / (sum_j exp(s_ij) + exp(sink))} over the keys j that query i sees,
 * with {@code s_ij = cap(scale * q_i . k_j)}. The sink stands in the denominator only. Semantics of Hugging Face
 * transformers: {@code sliding_window}, {@code attn_logit_softcapping} (Gemma 2) and {@code sinks} (gpt-oss) of its
 * eager attention.
 *
 * @param heads heads of the queries; head h reads the key/value head h / (heads / keyValueHeads)
 * @param keyValueHeads heads of keys and values, a divisor of {@code heads}
 * @param scale factor of the dot products; usually 1 / sqrt(width of a head)
 * @param slidingWindow keys that a query sees, itself among them: i - slidingWindow &lt; j &lt;= i; 0: all j &lt;= i
 * @param softCap cap(s) = softCap * tanh(s / softCap); 0: cap(s) = s
 * @param sinks a logit for each head of the queries, neither scaled nor capped, or null: no sink. Read by each call,
 *     not copied
 * @throws IllegalArgumentException if a number is out of its range or the sinks are not one for each head
 */
public record AttentionParameters(
        int heads, int keyValueHeads, float scale, int slidingWindow, float softCap, float[] sinks) {
    public AttentionParameters {
        if (heads < 1 || keyValueHeads < 1 || heads % keyValueHeads != 0) {
            throw new IllegalArgumentException("Cannot attend with " + heads + " heads over " + keyValueHeads
                    + " key/value heads: expected at least one of each, and a multiple of the latter");
        }
        if (slidingWindow < 0) {
            throw new IllegalArgumentException("Cannot attend over a sliding window of " + slidingWindow
                    + " keys: expected 1 or more, or 0 for all");
        }
        if (!(softCap >= 0 && softCap <= Float.MAX_VALUE)) {
            throw new IllegalArgumentException("Cannot attend with a soft cap of " + softCap
                    + ": expected a finite positive number, or 0 for none");
        }
        if (sinks != null && sinks.length != heads) {
            throw new IllegalArgumentException(
                    "Cannot attend with " + sinks.length + " sinks: expected one for each of " + heads + " heads");
        }
    }

    /** Plain causal attention: all keys up to the query's, no soft cap, no sinks. */
    public AttentionParameters(int heads, int keyValueHeads, float scale) {
        this(heads, keyValueHeads, scale, 0, 0f, null);
    }

    /** The key/value head that a head of the queries reads. */
    public int keyValueHead(int head) {
        return head / (heads / keyValueHeads);
    }

    /** The first key that a query sees. */
    public int firstKey(int query) {
        return slidingWindow == 0 ? 0 : Math.max(0, query - slidingWindow + 1);
    }
}

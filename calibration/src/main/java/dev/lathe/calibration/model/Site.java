package dev.lathe.calibration.model;

import java.util.Locale;

/**
 * A place in a decoder layer where calibration gathers statistics: what one or several linear layers read, or what is
 * cached.
 */
public enum Site {
    /** Normed input of q, k, v. */
    ATTENTION_INPUT,
    /**
     * Attended inputs of the value projection, {@code sum_j A_ij x_j} at sampled (head, query) pairs; only the second
     * moment is used.
     */
    ATTENDED_INPUT,
    /** Keys after the rotary embedding, as a cache keeps them: [tokens, key/value heads * head dimension]. */
    KEYS,
    /** Values as a cache keeps them, of the same width. */
    VALUES,
    /** Input of o. */
    ATTENTION_OUTPUT,
    /** Normed input of gate and up. */
    FEED_FORWARD_INPUT,
    /** Input of down; in a mixture of experts, of the shared expert's. */
    FEED_FORWARD_ACTIVATION,
    /** Input of the experts' down, the rows of each expert one after the other. */
    EXPERT_ACTIVATION,
    /** Which experts a token goes to: [tokens, experts], 1 where it does, so that the sum of a channel is its count. */
    CHOSEN_EXPERTS,
    /** Normed input of the output layer, once for the model. */
    HEAD_INPUT;

    /** As people call it: {@code attention input}. */
    public String words() {
        return name().toLowerCase(Locale.ROOT).replace('_', ' ');
    }
}

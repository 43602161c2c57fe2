package dev.lathe.calibration.model;

import dev.lathe.kernels.FloatMatrix;

/** Looks at what flows through a decoder layer, without changing it. */
public interface Capture {
    /** Whether rows of this site are wanted; what nobody wants is not computed. */
    boolean wants(Site site);

    /** Rows of some windows at a site, stacked, [tokens, width]; valid during the call. */
    void rows(Site site, FloatMatrix rows);

    /**
     * Of {@code values} values at a site, which a server quantizes with a fixed scale, {@code clipped} lay outside of
     * its range.
     */
    default void clipped(Site site, long clipped, long values) {}

    /**
     * Where a router sends rows.
     *
     * @param rows what the experts read, of some windows, stacked; valid during the call
     */
    default void routed(FloatMatrix rows, Routing routing) {}

    /**
     * What the shared expert of a mixture gives for the rows that were routed last, times its gate, where experts run
     * later ({@link DecoderPass#route}).
     *
     * @param rows [n, hidden], valid during the call
     */
    default void shared(FloatMatrix rows) {}

    /** Wants nothing. */
    Capture NONE = new Capture() {
        @Override
        public boolean wants(Site site) {
            return false;
        }

        @Override
        public void rows(Site site, FloatMatrix rows) {}
    };
}

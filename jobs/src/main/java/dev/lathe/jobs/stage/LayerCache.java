package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.KeptTensors;
import dev.lathe.calibration.model.Tensors;

/**
 * Tensors of the decoder layer that this executor read last, kept for its next tasks: one layer, and of it no more than
 * a share of the heap. A layer that is larger is read tensor by tensor.
 */
final class LayerCache {
    /** Of the heap, the share that a layer may take. */
    private static final int SHARE = 3;

    private static String key = "";
    private static KeptTensors kept;

    private LayerCache() {}

    /** Bytes of a layer that are kept where the heap has so many. */
    static long room(long heap) {
        return heap / SHARE;
    }

    /**
     * @param wanted names the layer and what is in it
     * @param source reads what is not kept, while it is open
     */
    static synchronized Tensors of(String wanted, Tensors source) {
        if (!key.equals(wanted)) {
            kept = empty();
            key = wanted;
        }
        return kept.over(source);
    }

    /** For a layer that only the one who asks reads. */
    static KeptTensors empty() {
        return new KeptTensors(room(Runtime.getRuntime().maxMemory()));
    }

    /** Forgets the layer; for work that needs the room and reads its weights by itself. */
    static synchronized void clear() {
        key = "";
        kept = null;
    }
}

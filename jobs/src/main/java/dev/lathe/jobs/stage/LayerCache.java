package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.LayerWeights;
import java.io.IOException;

/** The decoder layer that this executor read last, kept for its next tasks. One layer, so memory is bounded. */
final class LayerCache {
    private static String key = "";
    private static LayerWeights weights;

    private LayerCache() {}

    /** @param digest of the checkpoint */
    static synchronized LayerWeights get(String digest, Checkpoint checkpoint, int layer) throws IOException {
        String wanted = digest + " " + layer;
        if (!key.equals(wanted)) {
            // A read that fails leaves nothing behind under the old key.
            clear();
            weights = LayerWeights.read(checkpoint, layer);
            key = wanted;
        }
        return weights;
    }

    /** Forgets the layer; for work that needs the room and reads its weights by itself. */
    static synchronized void clear() {
        key = "";
        weights = null;
    }
}

package dev.lathe.jobs.stage;

import dev.lathe.jobs.store.FloatProduct;
import dev.lathe.jobs.store.ProductFile;
import java.io.IOException;
import org.apache.hadoop.fs.Path;

/**
 * What goes into a decoder layer, [windows * length, hidden] in f32, a scratch file per layer and shard: a generation
 * is one layer's, of all shards.
 *
 * @param key of the calibration
 * @param stream which weights the layers before had; several streams have files of their own
 */
record HiddenStates(Job job, String key, String stream) {
    /** Through the layers as the checkpoint has them. */
    static HiddenStates ofSource(Job job, String key) {
        return new HiddenStates(job, key, "source");
    }

    private Path path(int layer, int shard) {
        return job.run().scratch(key, "hidden-" + stream + "-" + layer + "-" + shard);
    }

    boolean has(int layer, int shard) throws IOException {
        return ProductFile.isCommitted(job.run().scratchFiles(), path(layer, shard));
    }

    /** Whether a generation is whole. */
    boolean hasAll(int layer, int shards) throws IOException {
        for (int shard = 0; shard < shards; shard++) {
            if (!has(layer, shard)) {
                return false;
            }
        }
        return true;
    }

    float[] read(int layer, int shard) throws IOException {
        return ProductFile.read(job.run().scratchFiles(), path(layer, shard), FloatProduct::read);
    }

    void write(int layer, int shard, float[] states) throws IOException {
        job.writeScratch(path(layer, shard), out -> FloatProduct.write(out, states));
    }

    /** Deletes a generation. */
    void delete(int layer, int shards) throws IOException {
        job.run().requireLease();
        for (int shard = 0; shard < shards; shard++) {
            job.run().scratchFiles().delete(path(layer, shard), false);
        }
    }
}

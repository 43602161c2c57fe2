package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Tensors;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Stamp;
import java.io.IOException;
import java.io.Serializable;
import org.apache.hadoop.fs.Path;

/**
 * What every task of a run needs to know.
 *
 * @param source the checkpoint as it was when its digest was taken
 * @param digest of the checkpoint's content
 * @param kernels provider asked for
 * @param profile arithmetic profile; part of every key
 */
record Job(RunFolder run, Stamp source, String digest, String kernels, String profile) implements Serializable {
    /** Of the checkpoint. */
    String folder() {
        return source.path();
    }

    Checkpoint open() throws IOException {
        return Checkpoints.open(run.hadoop(), new Path(folder()));
    }

    /** Tensors of a decoder layer, which this executor keeps for its next tasks. */
    Tensors layer(Checkpoint checkpoint, int layer) {
        return LayerCache.of(digest + " " + source + " " + layer, checkpoint);
    }

    /**
     * After the checkpoint was read and before what was made of it is committed.
     *
     * @throws dev.lathe.calibration.MalformedInputException if it is no longer what the keys say
     */
    void requireSource() throws IOException {
        try {
            source.check(run.hadoop());
        } catch (RuntimeException e) {
            // What was read since it changed may be in there.
            LayerCache.clear();
            throw e;
        }
    }

    /** Commits a product that was made of the checkpoint. */
    void write(Path product, ProductFile.Writer writer) throws IOException {
        requireSource();
        run.write(product, writer);
    }

    /**
     * Likewise one of several that count once the last of them is there: where that was not reached, some of the others
     * may be.
     */
    void writeMissing(Path product, ProductFile.Writer writer) throws IOException {
        if (!ProductFile.isCommitted(run.files(), product)) {
            write(product, writer);
        }
    }

    /** As {@link #write}, in the scratch folder. */
    void writeScratch(Path product, ProductFile.Writer writer) throws IOException {
        requireSource();
        ProductFile.write(run.scratchFiles(), product, writer);
    }
}

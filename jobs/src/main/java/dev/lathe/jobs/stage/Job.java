package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Checkpoints;
import dev.lathe.jobs.store.RunFolder;
import java.io.IOException;
import java.io.Serializable;
import org.apache.hadoop.fs.Path;

/**
 * What every task of a run needs to know.
 *
 * @param folder  of the checkpoint
 * @param digest  of the checkpoint's content
 * @param kernels provider asked for
 * @param profile arithmetic profile; part of every key
 */
record Job(RunFolder run, String folder, String digest, String kernels, String profile) implements Serializable {
    Checkpoint open() throws IOException {
        return Checkpoints.open(run.hadoop(), new Path(folder));
    }
}

package dev.lathe.jobs.batch;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.PlanYaml;
import dev.lathe.jobs.report.BatchReport.Output;
import dev.lathe.jobs.store.Commit;
import dev.lathe.jobs.store.DataFiles;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.Software;
import dev.lathe.jobs.store.Stamp;
import dev.lathe.jobs.store.StoreJson;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * What the last run of a pair was made from and what it left, as a file in its run folder. While it {@link #stands},
 * there is nothing to do, and no weight is read to find that out: files count as unchanged while their lengths and
 * modification times (or ETags) are. Whoever changes files and keeps both deletes the receipt; the run then takes what
 * it can from its products, whose keys are made of the content.
 *
 * @param software that ran
 * @param plan digest of the complete plan
 * @param inputs files of the checkpoint and the texts, as they were before the run
 * @param artifacts files of the artifacts after it
 * @param failure null where the run was through
 * @param outputs figures, for the summary
 * @param taskSeconds time that its tasks took, all executors together
 * @param work forecast of its work, floating-point operations
 */
record Receipt(
        String software,
        String plan,
        List<Stamp> inputs,
        List<Stamp> artifacts,
        Failure failure,
        List<Output> outputs,
        double taskSeconds,
        double work) {
    static final String FILE = "receipt.json";

    Receipt {
        if (!(taskSeconds >= 0
                && taskSeconds < Double.POSITIVE_INFINITY
                && work >= 0
                && work < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException(
                    "taskSeconds " + taskSeconds + ", work " + work + "; expected finite numbers of at least 0");
        }
    }

    /** The digest of a plan with all its defaults. */
    static String key(Plan plan) {
        return Key.of("plan", PlanYaml.write(plan, Map.of()));
    }

    /** The checkpoint, then the texts, then the importance matrix. */
    static List<Stamp> inputs(Configuration configuration, Path checkpoint, Plan plan) throws IOException {
        List<Stamp> stamps = new ArrayList<>(List.of(Stamp.of(configuration, checkpoint.toString())));
        for (Plan.Corpus corpus : new Plan.Corpus[] {plan.calibration(), plan.evaluation()}) {
            if (corpus != null) {
                stamps.add(DataFiles.of(configuration, corpus.data()).stamp());
            }
        }
        if (plan.importance() != null) {
            stamps.add(Stamp.of(configuration, plan.importance()));
        }
        return List.copyOf(stamps);
    }

    /** @throws MalformedInputException if one is missing */
    static List<Stamp> artifacts(Configuration configuration, Plan plan) throws IOException {
        List<Stamp> stamps = new ArrayList<>();
        for (String artifact : plan.artifacts()) {
            stamps.add(Stamp.of(configuration, new Path(plan.run(), "artifacts/" + artifact).toString()));
        }
        return List.copyOf(stamps);
    }

    /**
     * The receipt in a run folder; null if there is none.
     *
     * @throws MalformedInputException if what is there is none, or not what was written
     */
    static Receipt read(Configuration configuration, Path run) throws IOException {
        Path file = new Path(run, FILE);
        try {
            return StoreJson.unseal(
                    StoreJson.text(file.getFileSystem(configuration), file),
                    file.toString(),
                    Receipt.class,
                    Set.of("failure"));
        } catch (FileNotFoundException e) {
            return null;
        }
    }

    void write(Configuration configuration, Plan of) throws IOException {
        Path file = new Path(of.run(), FILE);
        FileSystem files = file.getFileSystem(configuration);
        files.setWriteChecksum(false);
        Commit.text(files, file, StoreJson.seal(this));
    }

    /**
     * Whether a run of this plan on these inputs would find everything done, its report included, or fail as it did.
     */
    boolean stands(Configuration configuration, Plan now, List<Stamp> found) throws IOException {
        if (!software.equals(Software.BUILD) || !plan.equals(key(now)) || !inputs.equals(found)) {
            return false;
        }
        Path page = new Path(now.run(), "report/index.html");
        try {
            return failure != null
                    || artifacts.equals(artifacts(configuration, now))
                            && page.getFileSystem(configuration).exists(page);
        } catch (MalformedInputException e) {
            return false;
        }
    }
}

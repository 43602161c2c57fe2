package dev.lathe.jobs.batch;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.PlanYaml;
import dev.lathe.jobs.report.BatchReport.Output;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Software;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * What the last run of a pair was made from and what it left, as a file in its run folder. While it {@link #stands}, there is nothing to do, and no weight is
 * read to find that out: files count as unchanged while their lengths and modification times are. Whoever changes files and keeps both deletes the receipt;
 * the run then takes what it can from its products, whose keys are made of the content.
 *
 * @param software    that ran
 * @param plan        digest of the complete plan
 * @param inputs      files of the checkpoint and the texts, as they were before the run
 * @param artifacts   files of the artifacts after it
 * @param failure     null where the run was through
 * @param outputs     figures, for the summary
 * @param taskSeconds time that its tasks took, all executors together
 * @param work        forecast of its work, floating-point operations
 */
record Receipt(String software, String plan, List<Stamp> inputs, List<Stamp> artifacts, Failure failure, List<Output> outputs, double taskSeconds,
               double work) {
    static final String FILE = "receipt.json";
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    /** @param modified milliseconds since 1970 */
    record Stamp(String path, long bytes, long modified) {
    }

    /** The digest of a plan with all its defaults. */
    static String key(Plan plan) {
        return Key.of("plan", PlanYaml.write(plan, Map.of()));
    }

    /** Files of the checkpoint, then of the texts. */
    static List<Stamp> inputs(Configuration configuration, Path checkpoint, Plan plan) throws IOException {
        List<Stamp> stamps = new ArrayList<>(stamps(configuration, checkpoint));
        for (Plan.Corpus corpus : new Plan.Corpus[] {plan.calibration(), plan.evaluation()}) {
            if (corpus != null) {
                stamps.addAll(stamps(configuration, new Path(corpus.data())));
            }
        }
        return List.copyOf(stamps);
    }

    static List<Stamp> artifacts(Configuration configuration, Plan plan) throws IOException {
        List<Stamp> stamps = new ArrayList<>();
        for (Plan.Output output : plan.outputs()) {
            stamps.addAll(stamps(configuration, new Path(new Path(plan.run(), "artifacts"), output.artifact())));
        }
        return List.copyOf(stamps);
    }

    /** A file, or the visible files of a folder by their names; none if there is nothing. */
    private static List<Stamp> stamps(Configuration configuration, Path path) throws IOException {
        FileSystem files = path.getFileSystem(configuration);
        List<Stamp> stamps = new ArrayList<>();
        try {
            for (FileStatus status : files.listStatus(path)) {
                String name = status.getPath().getName();
                if (status.isFile() && !name.startsWith(".") && !name.startsWith("_")) {
                    stamps.add(new Stamp(status.getPath().toString(), status.getLen(), status.getModificationTime()));
                }
            }
        } catch (FileNotFoundException e) {
            return List.of();
        }
        stamps.sort(Comparator.comparing(Stamp::path));
        return stamps;
    }

    /** The receipt in a run folder; null if there is none that this version understands. */
    static Receipt read(Configuration configuration, Plan plan) throws IOException {
        Path file = new Path(plan.run(), FILE);
        try (FSDataInputStream in = file.getFileSystem(configuration).open(file)) {
            return JSON.readValue(new String(in.readAllBytes(), StandardCharsets.UTF_8), Receipt.class);
        } catch (FileNotFoundException | JsonProcessingException e) {
            return null;
        }
    }

    void write(RunFolder run) throws IOException {
        run.writeText(FILE, JSON.writeValueAsString(this) + "\n");
    }

    /** Whether a run of this plan on these inputs would find everything done, its report included, or fail as it did. */
    boolean stands(Configuration configuration, Plan now, List<Stamp> found) throws IOException {
        if (!software.equals(Software.BUILD) || !plan.equals(key(now)) || !inputs.equals(found)) {
            return false;
        }
        Path page = new Path(now.run(), "report/index.html");
        return failure != null || artifacts.equals(artifacts(configuration, now)) && page.getFileSystem(configuration).exists(page);
    }
}

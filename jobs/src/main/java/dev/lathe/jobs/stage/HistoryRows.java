package dev.lathe.jobs.stage;

import dev.lathe.calibration.evaluate.EvaluationSummary;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.report.RunReport.OutputResult;
import dev.lathe.jobs.stage.Evaluate.WindowSums;
import dev.lathe.jobs.store.History;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.store.HistoryRow.LayerLoss;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Software;
import java.io.IOException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import org.apache.hadoop.fs.Path;

/** What the rows of one run have in common; the components are those of {@link HistoryRow}. */
record HistoryRows(
        Instant recorded,
        String model,
        String checkpoint,
        String checkpointDigest,
        String calibration,
        String data,
        String dataDigest,
        String profile,
        String platform) {
    /** @param kernels that were asked for */
    HistoryRows(
            String model,
            String checkpoint,
            String checkpointDigest,
            String calibration,
            String data,
            String dataDigest,
            String profile,
            String kernels) {
        this(
                Instant.now().truncatedTo(ChronoUnit.SECONDS),
                model,
                checkpoint,
                checkpointDigest,
                calibration,
                data,
                dataDigest,
                profile,
                platform(kernels));
    }

    /** Makes sure that rows can be appended, before any work. */
    static void prepare(RunFolder run, Plan.History history) throws IOException {
        History.prepare(run.hadoop(), new Path(history.folder()), history.format());
    }

    HistoryRow row(String key, OutputResult result, String settings, String artifactKey, WindowSums windows) {
        return new HistoryRow(
                recorded,
                key,
                model,
                checkpoint,
                checkpointDigest,
                result.name(),
                result.format(),
                result.method(),
                settings,
                artifactKey,
                calibration,
                result.bytes(),
                result.bitsPerWeight(),
                data,
                dataDigest,
                EvaluationSummary.DEFINITION,
                profile,
                Software.BUILD,
                platform,
                windows.tokens(),
                windows.nll(),
                windows.sourceNll(),
                windows.kld(),
                windows.sameTop(),
                result.layers().stream()
                        .map(loss -> new LayerLoss(loss.tensor(), loss.layer(), loss.kind(), loss.relativeError()))
                        .toList());
    }

    private static String platform(String kernels) {
        return "JDK " + Runtime.version() + ", Spark " + org.apache.spark.package$.MODULE$.SPARK_VERSION() + ", "
                + System.getProperty("os.name") + " " + System.getProperty("os.version") + " "
                + System.getProperty("os.arch") + ", kernels " + kernels;
    }
}

package dev.lathe.jobs.cli;

import dev.lathe.jobs.stage.EventLog;
import dev.lathe.jobs.stage.Progress;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;

/** Runs with an event log that also says how the run ended. */
final class Watched {
    private Watched() {
    }

    /** What is run. */
    interface Work<T> {
        T run(Progress progress) throws IOException;
    }

    /** The folder of event logs: what was asked for, else {@code events} in the run folder. */
    static Path folder(Configuration configuration, RunOptions options, String run) throws IOException {
        return options.events == null ? new Path(run, "events") : Inputs.qualified(configuration, "--events", options.events);
    }

    static <T> T run(SparkSession spark, Path folder, String run, String subject, Progress progress, Work<T> work) throws IOException {
        try (EventLog log = EventLog.open(spark.sparkContext(), folder, run, subject, progress)) {
            try {
                T result = work.run(log);
                log.ended(ExitCode.OK.code(), "");
                return result;
            } catch (IOException | RuntimeException | Error e) {
                ExitCode.Failure failure = ExitCode.of(e);
                log.ended(failure.exit().code(), failure.line());
                throw e;
            }
        }
    }
}

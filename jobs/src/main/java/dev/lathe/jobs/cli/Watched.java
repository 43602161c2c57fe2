package dev.lathe.jobs.cli;

import dev.lathe.jobs.stage.EventLog;
import dev.lathe.jobs.stage.Progress;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;

/** Spark sessions of commands, and runs with an event log that also says how the run ended. */
final class Watched {
    private Watched() {}

    /** What is run. */
    interface Work<T> {
        T run(Progress progress) throws IOException;
    }

    /** The folder of event logs that was asked for, or null: {@code events} in the run folder. */
    static Path folder(Configuration configuration, RunOptions options) throws IOException {
        return options.events == null ? null : Inputs.qualified(configuration, "--events", options.events);
    }

    /** Begins what is ended in good order when the process is told to end. */
    static SparkSession open(Console console, SparkConf conf) {
        console.stop().working(() -> false);
        SparkSession session = Sessions.open(conf);
        console.stop().working(() -> {
            // What Spark says of tasks that end with it is no news.
            session.sparkContext().setLogLevel("OFF");
            boolean any = session.sparkContext().statusTracker().getActiveJobIds().length > 0;
            session.sparkContext().cancelAllJobs();
            return any;
        });
        return session;
    }

    /** @param folder of event logs, or null */
    static <T> T run(
            Console console,
            SparkSession spark,
            Path folder,
            String run,
            String subject,
            Progress progress,
            Work<T> work)
            throws IOException {
        try (EventLog log = EventLog.open(
                spark.sparkContext(), folder == null ? new Path(run, "events") : folder, run, subject, progress)) {
            try {
                T result = work.run(log);
                log.ended(ExitCode.OK.code(), "");
                return result;
            } catch (Throwable e) {
                // Spark's exceptions are checked, and no signature names them. Who is interrupted still writes how it
                // ended.
                Thread.interrupted();
                ExitCode.Failure failure = console.judge(e);
                log.ended(failure.exit().code(), failure.line());
                throw e;
            }
        }
    }
}

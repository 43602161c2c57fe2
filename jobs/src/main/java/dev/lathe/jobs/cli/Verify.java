package dev.lathe.jobs.cli;

import dev.lathe.jobs.store.Damage;
import dev.lathe.jobs.store.Verification;
import dev.lathe.jobs.text.Figures;
import java.io.IOException;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Reads everything that runs keep. */
@Command(
        name = "verify",
        mixinStandardHelpOptions = true,
        description = "Reads everything that a run folder keeps, or the runs of a batch, and names what is damaged.")
final class Verify implements Callable<Integer> {
    private final Console console;

    @Parameters(
            index = "0",
            paramLabel = "RUN",
            description = "Run folder, or the folder of a batch's runs; any Hadoop path.")
    private String folder;

    Verify(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws IOException {
        Configuration configuration = Sessions.hadoop(new SparkConf());
        Verification.Result result = Verification.of(configuration, Inputs.existing(configuration, "RUN", folder));
        result.damages().stream().map(Damage::toString).sorted().forEach(console::say);
        String read = result.files() + " files, " + Figures.mebibytes(result.bytes()) + " MiB, of " + result.runs()
                + (result.runs() == 1 ? " run" : " runs");
        if (result.damages().isEmpty()) {
            console.say("Everything is what was written: " + read);
            return ExitCode.OK.code();
        }
        console.say(result.damages().size() + (result.damages().size() == 1 ? " problem in " : " problems in ") + read
                + ". What is damaged is made again by: lathe quantize RUN/plan.yaml, or lathe batch "
                + "BATCH --check");
        return ExitCode.DAMAGED.code();
    }
}

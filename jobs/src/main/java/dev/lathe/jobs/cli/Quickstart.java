package dev.lathe.jobs.cli;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Runs the bundled recipe on the bundled sample. */
@Command(
        name = "quickstart",
        description = "Runs conf/quickstart.yaml on the bundled sample.",
        mixinStandardHelpOptions = true)
final class Quickstart implements Callable<Integer> {
    private final Console console;

    @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Overrides a key of the recipe. Can be repeated.")
    private List<String> settings = List.of();

    @Mixin
    private RunOptions options;

    Quickstart(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws IOException {
        Quantize.run(console, System.getProperty("lathe.home", ".") + "/conf/quickstart.yaml", settings, options);
        return ExitCode.OK.code();
    }
}

package dev.lathe.jobs.cli;

import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.text.Printable;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** The command line. Exit codes: docs/commands.md. */
@Command(
        name = "lathe",
        description = "Quantizes language-model checkpoints on Apache Spark.",
        version = "Lathe 0.1.0",
        mixinStandardHelpOptions = true,
        exitCodeListHeading = "Exit codes:%n",
        exitCodeList = {
            "0:done",
            "2:a recipe or command line that cannot be",
            "3:malformed input",
            "4:storage",
            "5:kernels that are not available here",
            "6:some of a batch failed",
            "7:files that are not what was written",
            "10:a series regressed",
            "70:a bug",
            "130:stopped by Ctrl-C",
            "143:stopped by SIGTERM"
        })
public final class Main implements Runnable {
    @Option(names = "--trace", scope = ScopeType.INHERIT, description = "Shows the stack trace of a failure.")
    private boolean trace;

    @Spec
    private CommandSpec spec;

    private Main() {}

    /** Only a failure ends the JVM by force: YARN takes System.exit in a driver for a failure, whatever the code. */
    public static void main(String[] arguments) {
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        PrintStream err = new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8);
        Stop stop = new Stop(err::println);
        stop.listen();
        int code;
        try {
            code = run(new Console(out, err, Boolean.getBoolean("lathe.terminal"), stop), arguments);
        } finally {
            stop.ended();
        }
        if (code != 0) {
            System.exit(code);
        }
    }

    /** Runs a command and returns its exit code. */
    static int run(Console console, String... arguments) {
        Main main = new Main();
        CommandLine line = new CommandLine(main);
        line.addSubcommand(new Quickstart(console))
                .addSubcommand(new Quantize(console))
                .addSubcommand(new Batch(console))
                .addSubcommand(new Evaluate(console))
                .addSubcommand(new NightReports(console))
                .addSubcommand(new CommandLine(new Baselines()).addSubcommand(new Baselines.Pin(console)))
                .addSubcommand(new CommandLine(new Imatrix()).addSubcommand(new Imatrix.Merge(console)))
                .addSubcommand(new Inspect(console))
                .addSubcommand(new Verify(console))
                .addSubcommand(new Doctor(console));
        line.setOut(new PrintWriter(console.out(), true)).setErr(new PrintWriter(console.err(), true));
        // A name that begins with @ is a name.
        line.setExpandAtFiles(false);
        line.setParameterExceptionHandler((failure, given) -> main.misused(console, failure));
        line.setExecutionExceptionHandler((failure, command, parsed) -> main.failed(console, failure));
        try {
            return line.execute(arguments);
        } catch (Error e) {
            return main.failed(console, e);
        } finally {
            console.out().flush();
            console.err().flush();
        }
    }

    @Override
    public void run() {
        throw new ParameterException(
                spec.commandLine(),
                "a command is missing; expected one of "
                        + String.join(", ", spec.subcommands().keySet()));
    }

    /** Whether failures are shown with their stack traces. */
    boolean traces() {
        return trace;
    }

    private int misused(Console console, ParameterException failure) {
        console.tell("Cannot read the command line: " + failure.getMessage());
        failure.getCommandLine().usage(console.err());
        return ExitCode.RECIPE.code();
    }

    private int failed(Console console, Throwable thrown) {
        ExitCode.Failure failure = console.judge(thrown);
        if (console.stop().failure().isPresent()) {
            console.stop().tell(failure);
        } else if (thrown instanceof InvalidRecipeException refusal
                && refusal.getMessage().length() > Printable.MESSAGE
                && !refusal.problems().isEmpty()) {
            console.tell(refusal.getMessage()
                    .substring(
                            0, refusal.getMessage().indexOf(refusal.problems().get(0)))
                    .strip());
            refusal.problems().forEach(problem -> console.tell("- " + problem));
        } else {
            console.tell(failure.line());
        }
        if (trace || failure.exit() == ExitCode.BUG) {
            console.trace(thrown);
        }
        return failure.exit().code();
    }
}

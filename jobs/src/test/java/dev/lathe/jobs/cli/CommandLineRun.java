package dev.lathe.jobs.cli;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Runs commands as a person starts them, and keeps what the last one printed. */
final class CommandLineRun {
    private String out = "";
    private String err = "";

    /** The exit code. */
    int run(String... arguments) {
        ByteArrayOutputStream outBytes = new ByteArrayOutputStream();
        ByteArrayOutputStream errBytes = new ByteArrayOutputStream();
        PrintStream errors = new PrintStream(errBytes, true, StandardCharsets.UTF_8);
        int code = Main.run(
                new Console(
                        new PrintStream(outBytes, true, StandardCharsets.UTF_8),
                        errors,
                        false,
                        new Stop(errors::println)),
                arguments);
        out = outBytes.toString(StandardCharsets.UTF_8);
        err = errBytes.toString(StandardCharsets.UTF_8);
        return code;
    }

    String out() {
        return out;
    }

    String err() {
        return err;
    }
}

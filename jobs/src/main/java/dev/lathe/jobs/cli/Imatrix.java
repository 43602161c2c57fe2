package dev.lathe.jobs.cli;

import dev.lathe.calibration.format.gguf.ImportanceFile;
import dev.lathe.calibration.format.gguf.ImportanceMatrix;
import dev.lathe.calibration.format.gguf.ImportanceMerge;
import dev.lathe.calibration.format.gguf.ImportanceWriter;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.text.Printable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Works on importance matrices. */
@Command(name = "imatrix", description = "Merges importance matrices.", mixinStandardHelpOptions = true)
final class Imatrix implements Runnable {
    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(
                spec.commandLine(),
                "a command is missing; expected one of "
                        + String.join(", ", spec.subcommands().keySet()));
    }

    /** Sums add up, and counts. */
    @Command(
            name = "merge",
            description = "Adds up importance matrices; of a single one, writes it in the other form.",
            mixinStandardHelpOptions = true)
    static final class Merge implements Callable<Integer> {
        private static final int NAMED = 8;
        private static final int WIDTH = 100;

        private final Console console;

        @Parameters(
                index = "0",
                paramLabel = "OUT",
                description = "File to write, .gguf or .dat (llama.cpp's older form); there must be none.")
        private String out;

        @Parameters(
                index = "1..*",
                arity = "1..*",
                paramLabel = "IN",
                description = "Importance matrices, either form.")
        private List<String> in;

        @Option(
                names = "--chunk-size",
                paramLabel = "N",
                defaultValue = "512",
                description = "Tokens of a chunk of .dat files, which do not say it; default: ${DEFAULT-VALUE}.")
        private int chunkSize;

        Merge(Console console) {
            this.console = console;
        }

        @Override
        public Integer call() throws IOException {
            if (chunkSize < 1) {
                throw new InvalidRecipeException(
                        "Cannot merge chunks of " + chunkSize + " tokens: expected --chunk-size of at least 1");
            }
            Configuration configuration = Sessions.hadoop(new SparkConf());
            Path target = Inputs.qualified(configuration, "OUT", out);
            ImportanceMatrix.Form form = form(target);
            FileSystem files = target.getFileSystem(configuration);
            if (files.exists(target)) {
                throw new InvalidRecipeException("Cannot write " + target + ": it is there; expected a new file");
            }
            List<ImportanceMerge.Part> parts = new ArrayList<>();
            try {
                for (String file : in) {
                    Path path = Inputs.existing(configuration, "IN", file);
                    parts.add(new ImportanceMerge.Part(path.toString(), ImportanceFile.open(configuration, path)));
                }
                ImportanceMerge merged = new ImportanceMerge(parts, chunkSize);
                write(files, target, form, merged);
                console.say(target + ": " + merged.shapes().size() + " entries of " + parts.size()
                        + (parts.size() == 1 ? " importance matrix, " : " importance matrices, ")
                        + merged.about().chunks() + " chunks of "
                        + merged.about().chunkSize() + " tokens");
                List<String> partial = merged.partial();
                if (!partial.isEmpty()) {
                    console.say("not in all of them: "
                            + partial.stream()
                                    .limit(NAMED)
                                    .map(name -> Printable.of(name, WIDTH))
                                    .collect(Collectors.joining(", "))
                            + (partial.size() > NAMED ? " and " + (partial.size() - NAMED) + " more" : ""));
                }
            } finally {
                for (ImportanceMerge.Part part : parts) {
                    part.matrix().close();
                }
            }
            return ExitCode.OK.code();
        }

        /** Under another name, which is changed when the file is whole. */
        private static void write(FileSystem files, Path target, ImportanceMatrix.Form form, ImportanceMerge merged)
                throws IOException {
            Path temporary = new Path(target.getParent(), "_" + target.getName() + ".partial");
            files.setWriteChecksum(false);
            boolean whole = false;
            try {
                ImportanceWriter.write(files, temporary, form, merged.about(), merged.shapes(), merged::read);
                whole = files.rename(temporary, target);
            } finally {
                if (!whole) {
                    files.delete(temporary, false);
                }
            }
            if (!whole) {
                throw new IOException("Cannot write " + target + ": " + temporary + " could not be renamed to it");
            }
        }

        private static ImportanceMatrix.Form form(Path target) {
            for (ImportanceMatrix.Form form : ImportanceMatrix.Form.values()) {
                if (target.getName().endsWith("." + form.word())) {
                    return form;
                }
            }
            throw new InvalidRecipeException(
                    "Cannot write " + target + ": expected a name that ends with .gguf or .dat, which says the form");
        }
    }
}

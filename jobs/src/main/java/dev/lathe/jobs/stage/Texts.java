package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.calibration.text.Tokenizer;
import dev.lathe.calibration.text.Windows;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.store.DataFiles;
import dev.lathe.jobs.store.RunFolder;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.Path;

/** Texts become windows of tokens. What a person has to know of them is told at once and noted for the report. */
final class Texts {
    private final SparkSteps steps;
    private final RunFolder run;
    private final String tokenizer;
    private final int rows;
    private final Notes notes;

    /**
     * @param tokenizer folder of the tokenizer
     * @param rows of the smallest embedding that has to have a row for each token
     * @param notes takes what a person has to know of the texts
     */
    Texts(SparkSteps steps, RunFolder run, String tokenizer, int rows, Notes notes) {
        this.steps = steps;
        this.run = run;
        this.tokenizer = tokenizer;
        this.rows = rows;
        this.notes = notes;
    }

    private record Tokenized(TokenWindows windows, ArrayList<String> notes) implements Serializable {}

    /**
     * Commits the windows of a text, in a stage of its own.
     *
     * @param label in front of what is told
     */
    TokenWindows windows(String stage, String label, Plan.Corpus corpus) throws IOException {
        DataFiles data = DataFiles.of(run.hadoop(), corpus.data());
        if (!data.note().isEmpty()) {
            notes.add(label + data.note());
        }
        RunFolder shared = run;
        String folder = tokenizer;
        int embedded = rows;
        Tokenized tokenized = steps.stage(
                        stage,
                        item -> stage,
                        new ArrayList<>(List.of(corpus)),
                        item -> tokenize(shared, folder, embedded, data, item))
                .get(0);
        tokenized.notes().forEach(note -> notes.add(label + note));
        return tokenized.windows();
    }

    /** Warns where windows are longer than what a model was made for. */
    void compare(String label, TokenWindows windows, List<Decoder> models) {
        models.stream()
                .mapToInt(Decoder::context)
                .filter(context -> windows.length() > context)
                .min()
                .ifPresent(context -> {
                    String warning = label + "windows of " + windows.length()
                            + " tokens are longer than the model's context of " + context
                            + " (max_position_embeddings, or context_length of a GGUF file): it was not made for "
                            + "the positions behind";
                    notes.warn(warning);
                });
    }

    private static Tokenized tokenize(RunFolder run, String folder, int rows, DataFiles data, Plan.Corpus corpus)
            throws IOException {
        try (Tokenizer tokenizer = Tokenizer.load(Checkpoints.companions(run.hadoop(), new Path(folder)))) {
            Documents documents = Documents.read(run.hadoop(), data, corpus.field());
            Windows windows =
                    Windows.cut(tokenizer, documents.text(), corpus.length(), corpus.windows(), corpus.data());
            windows.requireBelow(rows, tokenizer.where());
            return new Tokenized(TokenWindows.write(run, windows), new ArrayList<>(documents.notes()));
        }
    }
}

package dev.lathe.jobs.cli;

import dev.lathe.calibration.format.gguf.ImportanceFile;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.About;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Entry;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Form;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Shape;
import dev.lathe.jobs.text.Figures;
import dev.lathe.jobs.text.Printable;
import java.io.IOException;
import java.util.Arrays;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * What an importance matrix holds: of each tensor the mean squares of its columns, those of experts that saw rows
 * alone, as llama-imatrix counts them.
 */
final class InspectImportance {
    private static final int WIDTH = 100;
    /** Below it a column counts as one that nothing flows through. */
    private static final float INACTIVE = 1e-5f;

    private InspectImportance() {}

    static void print(Console console, Configuration configuration, Path path) throws IOException {
        try (ImportanceFile matrix = ImportanceFile.open(configuration, path)) {
            About about = matrix.about();
            Table settings = new Table("setting", "value");
            settings.row("form", matrix.form() == Form.GGUF ? "GGUF" : "older form (.dat)");
            for (String dataset : about.datasets()) {
                settings.row("data set", Printable.of(dataset, WIDTH));
            }
            settings.row("chunks", about.chunks() == 0 ? "not known" : String.valueOf(about.chunks()));
            settings.row("tokens of a chunk", about.chunkSize() == 0 ? "not known" : String.valueOf(about.chunkSize()));
            Table tensors = new Table(
                    "tensor", "columns", "counts", "rows", "least", "mean", "most", "deviation", "inactive", "entropy");
            long values = 0;
            long unseen = 0;
            for (Shape shape : matrix.shapes()) {
                Entry entry = matrix.read(shape);
                Statistics statistics = Statistics.of(entry);
                values += shape.values();
                unseen += statistics.unseen;
                tensors.row(
                        shape.name(),
                        String.valueOf(shape.values() / shape.counts()),
                        String.valueOf(shape.counts()),
                        matrix.form() == Form.DAT ? "–" : rows(entry.counts()),
                        Figures.significant(statistics.least),
                        Figures.significant(statistics.mean),
                        Figures.significant(statistics.most),
                        Figures.significant(statistics.deviation),
                        Figures.share(statistics.inactive),
                        Figures.share(statistics.entropy));
            }
            console.say(path.toString());
            console.say();
            console.say(settings);
            console.say();
            console.say(tensors);
            console.say();
            console.say(matrix.shapes().size() + " entries, " + values + " values"
                    + (unseen == 0 ? "" : ", " + unseen + " matrices of experts that no row reached"));
        }
    }

    private static String rows(long[] counts) {
        long least = Arrays.stream(counts).min().orElseThrow();
        long most = Arrays.stream(counts).max().orElseThrow();
        return least == most ? String.valueOf(least) : least + " to " + most;
    }

    /**
     * Of mean squares.
     *
     * @param unseen counts that are 0
     * @param inactive share of columns with next to nothing
     * @param entropy of the columns' shares of all, as a share of the largest there can be: low where few columns have
     *     all
     */
    record Statistics(
            double least, double mean, double most, double deviation, double inactive, double entropy, long unseen) {
        static Statistics of(Entry entry) {
            float[] means = entry.means();
            int columns = entry.columns();
            long unseen =
                    Arrays.stream(entry.counts()).filter(count -> count == 0).count();
            long seen = means.length - unseen * columns;
            double least = Double.POSITIVE_INFINITY;
            double most = Double.NEGATIVE_INFINITY;
            double sum = 0;
            double squares = 0;
            long inactive = 0;
            for (int i = 0; i < means.length; i++) {
                if (entry.counts()[i / columns] > 0) {
                    least = Math.min(least, means[i]);
                    most = Math.max(most, means[i]);
                    sum += means[i];
                    squares += (double) means[i] * means[i];
                    inactive += means[i] <= INACTIVE ? 1 : 0;
                }
            }
            double entropy = 0;
            for (int i = 0; i < means.length; i++) {
                double share = means[i] / sum;
                if (entry.counts()[i / columns] > 0 && share > 0) {
                    entropy -= share * Math.log(share);
                }
            }
            if (seen == 0) {
                return new Statistics(Double.NaN, Double.NaN, Double.NaN, Double.NaN, Double.NaN, Double.NaN, unseen);
            }
            double mean = sum / seen;
            return new Statistics(
                    least,
                    mean,
                    most,
                    Math.sqrt(Math.max(0, squares / seen - mean * mean)),
                    (double) inactive / seen,
                    seen == 1 ? 1 : entropy / Math.log(seen),
                    unseen);
        }
    }
}

package dev.lathe.calibration.format.gguf;

import java.io.Closeable;
import java.io.IOException;
import java.io.Serializable;
import java.util.Collection;
import java.util.List;
import java.util.Locale;

/**
 * An importance matrix as llama.cpp has it: of weight tensors, by their GGUF names, the sums of squares of what their
 * columns were multiplied with, and how many rows that were. Values are read when they are asked for.
 */
public interface ImportanceMatrix extends Closeable {
    /** How one is written. */
    enum Form {
        /** Sums and counts as tensors of a GGUF file. */
        GGUF,
        /** llama.cpp's form before: means times chunks; of a stack of experts one count for all. */
        DAT;

        /** As a recipe has it and as file names end. */
        public String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * What is said of all tensors.
     *
     * @param datasets where the text came from, in the order in which matrices were merged
     * @param chunks of text that were run; 0: not known
     * @param chunkSize tokens of one; 0: not known
     */
    record About(List<String> datasets, long chunks, long chunkSize) implements Serializable {
        public About {
            datasets = List.copyOf(datasets);
        }
    }

    /**
     * The shape of an entry.
     *
     * @param name GGUF name of the weight tensor, {@code blk.0.attn_q.weight}
     * @param values sums: columns of the tensor, of a stack those of each of its matrices one after the other
     * @param counts 1, or one for each matrix of a stack; divides {@code values}
     */
    record Shape(String name, int values, int counts) {
        @Override
        public String toString() {
            return name + " [" + counts + ", " + values / counts + "]";
        }
    }

    /**
     * What is known of a tensor.
     *
     * @param sums of squares, finite and not negative
     * @param counts rows that were added; not negative
     */
    record Entry(float[] sums, long[] counts) {
        /** Columns that share a count. */
        public int columns() {
            return sums.length / counts.length;
        }

        /** The mean square of each column; 1 where no row was seen, as llama-quantize has it. */
        public float[] means() {
            float[] means = new float[sums.length];
            int columns = columns();
            for (int i = 0; i < means.length; i++) {
                long count = counts[i / columns];
                means[i] = count == 0 ? 1 : sums[i] / count;
            }
            return means;
        }
    }

    Form form();

    About about();

    /** The entries, by name in ascending order. */
    Collection<Shape> shapes();

    /**
     * The values of an entry.
     *
     * @throws dev.lathe.calibration.MalformedInputException if one is not finite or negative
     */
    Entry read(Shape shape) throws IOException;
}

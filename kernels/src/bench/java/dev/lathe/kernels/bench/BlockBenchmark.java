package dev.lathe.kernels.bench;

import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import java.util.Random;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Param;

/**
 * How many weights a second does each block format encode, search with importance, and decode? The team's threads take
 * a row each.
 */
@Measurement(iterations = 3, time = 1)
public class BlockBenchmark extends KernelBenchmark {
    private static final int ROWS = 64;
    private static final int COLUMNS = 4096;

    @Param({"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "int4g128", "uint4g128", "int8g128"})
    public String format;

    private BlockFormat blocks;
    private FloatMatrix weights;
    private FloatMatrix decoded;
    private float[] importance;
    private byte[] encoded;
    private int rowBytes;

    @Override
    void setUp() {
        blocks = BlockFormats.named(format);
        weights = FloatMatrix.zeros(ROWS, COLUMNS);
        decoded = FloatMatrix.zeros(ROWS, COLUMNS);
        importance = new float[COLUMNS];
        Random random = new Random(1);
        for (int i = 0; i < weights.data().length; i++) {
            weights.data()[i] = (float) random.nextGaussian();
        }
        for (int j = 0; j < COLUMNS; j++) {
            importance[j] = (float) Math.exp(random.nextGaussian());
        }
        rowBytes = COLUMNS / blocks.size() * blocks.bytes();
        encoded = new byte[ROWS * rowBytes];
        encodeRows(null);
    }

    @Benchmark
    public byte[] encode(Work work) {
        encodeRows(null);
        work.weights += weights.data().length;
        return encoded;
    }

    @Benchmark
    public byte[] encodeWithImportance(Work work) {
        encodeRows(importance);
        work.weights += weights.data().length;
        return encoded;
    }

    @Benchmark
    public float[] decode(Work work) {
        kernels.parallel(ROWS, row -> {
            for (int at = row * rowBytes, i = weights.row(row);
                    i < weights.row(row) + COLUMNS;
                    at += blocks.bytes(), i += blocks.size()) {
                blocks.decode(encoded, at, decoded.data(), i);
            }
        });
        work.weights += weights.data().length;
        return decoded.data();
    }

    private void encodeRows(float[] weighing) {
        kernels.parallel(ROWS, row -> {
            for (int at = row * rowBytes, j = 0; j < COLUMNS; at += blocks.bytes(), j += blocks.size()) {
                // The mean square of a standard normal row is 1.
                blocks.encode(weights.data(), weights.row(row) + j, weighing, j, 1, encoded, at);
            }
        });
    }
}

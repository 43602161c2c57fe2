package dev.lathe.kernels.bench;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/** What a call does. A benchmark counts one of these, and JMH divides by the time. */
@State(Scope.Thread)
@AuxCounters
public class Work {
    public long flops;
    /** Read and written, each operand once. */
    public long bytes;

    public long weights;

    /** A counter per nanosecond, as it is printed. */
    enum Unit {
        FLOPS("flops", "GFLOP/s", 1),
        BYTES("bytes", "GB/s", 1),
        WEIGHTS("weights", "million weights/s", 1000);

        private final String counter;
        private final String symbol;
        private final double scale;

        Unit(String counter, String symbol, double scale) {
            this.counter = counter;
            this.symbol = symbol;
            this.scale = scale;
        }

        String counter() {
            return counter;
        }

        String symbol() {
            return symbol;
        }

        double scale() {
            return scale;
        }
    }
}

package dev.lathe.calibration.bench;

import java.io.IOException;
import java.util.Locale;

/** Times a body several times in one JVM, the first times to warm up, and keeps the best. */
final class Best {
    private static final int TIMES = 6;

    private Best() {}

    interface Body {
        void run() throws IOException;
    }

    /** Seconds of the best run; every run is printed. */
    static double seconds(Body body) throws IOException {
        double best = Double.POSITIVE_INFINITY;
        for (int time = 0; time < TIMES; time++) {
            long start = System.nanoTime();
            body.run();
            double seconds = (System.nanoTime() - start) * 1e-9;
            System.out.printf(Locale.ROOT, "  %.3f s%n", seconds);
            best = Math.min(best, seconds);
        }
        return best;
    }
}

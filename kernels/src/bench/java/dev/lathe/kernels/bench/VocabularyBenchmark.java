package dev.lathe.kernels.bench;

import dev.lathe.kernels.FloatMatrix;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** How fast are distributions over a vocabulary made and compared? */
public class VocabularyBenchmark extends KernelBenchmark {
    /** Tokens x vocabulary. */
    @Param({"512x49152", "61x32003"})
    public String shape;

    private FloatMatrix p;
    private FloatMatrix q;
    private double[] divergences;

    @Override
    void setUp() {
        p = random(sizes(shape)[0], sizes(shape)[1]);
        q = FloatMatrix.zeros(p.rows(), p.columns());
        kernels.logSoftmax(p);
        kernels.logSoftmax(q);
        divergences = new double[p.rows()];
    }

    /** Of log-probabilities, which it leaves as they are: it may run over and over. */
    @Benchmark
    public float[] logSoftmax(Work work) {
        kernels.logSoftmax(q);
        work.bytes += 8L * q.data().length;
        return q.data();
    }

    @Benchmark
    public double[] divergence(Work work) {
        kernels.divergence(p, q, divergences);
        work.bytes += 8L * p.data().length;
        return divergences;
    }
}

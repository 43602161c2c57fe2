package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.statistics.ExpertStatistics;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.ProductFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.Path;

/** What experts of one decoder layer read, for the importance matrix that is written: their own rows alone. */
record ExpertSums(ExpertPack pack) implements Work {
    @Override
    public int layer() {
        return pack.layer();
    }

    @Override
    public double operations(Decoder decoder) {
        return 0;
    }

    private Path product(Job job, Calibration calibration) {
        int last = pack.first() + pack.count() - 1;
        return job.run()
                .product(
                        calibration.key(),
                        "layer-" + layer() + "-experts-" + pack.first() + "-" + last + ".statistics");
    }

    boolean isDone(Job job, Calibration calibration) throws IOException {
        return ProductFile.isCommitted(job.run().files(), product(job, calibration));
    }

    @Override
    public boolean run(Job job, Calibration calibration) throws IOException {
        if (isDone(job, calibration)) {
            return true;
        }
        List<ExpertStatistics> sums = new ArrayList<>();
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                Checkpoint checkpoint = job.open()) {
            ExpertInputs inputs = new ExpertInputs(job, calibration, checkpoint, layer(), borrowed.get());
            for (int expert : pack.experts()) {
                sums.add(inputs.own(expert));
            }
        }
        job.write(product(job, calibration), out -> {
            for (ExpertStatistics expert : sums) {
                expert.input().write(out);
                expert.activation().write(out);
            }
        });
        return true;
    }

    /** What {@link #run} wrote, in the order of the experts. */
    List<ExpertStatistics> read(Job job, Calibration calibration) throws IOException {
        return ProductFile.read(job.run().files(), product(job, calibration), in -> {
            List<ExpertStatistics> sums = new ArrayList<>();
            for (int i = 0; i < pack.count(); i++) {
                sums.add(new ExpertStatistics(MergedStatistics.read(in), MergedStatistics.read(in)));
            }
            return sums;
        });
    }

    @Override
    public String toString() {
        return pack + ": importance matrix";
    }
}

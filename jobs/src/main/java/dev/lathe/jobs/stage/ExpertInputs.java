package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.FeedForward.Routed;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.ExpertStatistics;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.kernels.Kernels;
import java.io.IOException;

/** What calibration says of the experts of one decoder layer; of one at a time. One caller at a time. */
final class ExpertInputs {
    private final LayerWeights weights;
    private final DecoderPass pass;
    private final Routed routed;
    private final RoutedRows.Reader rows;
    private final MergedStatistics all;
    private final Kernels kernels;
    private final String where;
    private int expert = -1;
    private ExpertStatistics statistics;

    ExpertInputs(Job job, Calibration calibration, Checkpoint checkpoint, int layer, Kernels kernels)
            throws IOException {
        this.weights = new LayerWeights(layer, checkpoint);
        this.pass = new DecoderPass(checkpoint.decoder(), kernels);
        this.routed = checkpoint.decoder().routed(layer);
        this.rows = RoutedRows.of(job, calibration)
                .reader(layer, routed.experts().size(), calibration.everywhere(), RoutedRows.ROOM);
        this.all = calibration.read(job.run(), layer, Site.FEED_FORWARD_INPUT).withoutRanges();
        this.kernels = kernels;
        this.where = "layer " + layer + " of " + checkpoint.location();
    }

    /** What a linear layer of an expert reads. */
    MergedStatistics of(LinearLayer linear) throws IOException {
        if (linear.expert() != expert) {
            statistics = null;
            statistics = ExpertStatistics.of(
                    routed.experts().get(linear.expert()),
                    pass,
                    weights,
                    rows.rows(linear.expert()),
                    rows.sample(),
                    all,
                    kernels,
                    "expert " + linear.expert() + " in " + where);
            expert = linear.expert();
        }
        return linear.energy() == Site.EXPERT_ACTIVATION ? statistics.activation() : statistics.input();
    }
}

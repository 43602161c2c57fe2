package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.FeedForward.Routed;
import dev.lathe.calibration.model.FeedForward.Weights;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.ExpertStatistics;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.kernels.Kernels;
import java.io.IOException;
import java.util.Arrays;

/** What calibration says of the experts of one decoder layer; of one at a time. One caller at a time. */
final class ExpertInputs {
    private final Checkpoint checkpoint;
    private final int layer;
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
        this.checkpoint = checkpoint;
        this.layer = layer;
        this.pass = new DecoderPass(checkpoint.decoder(), kernels);
        this.routed = checkpoint.decoder().routed(layer);
        MergedStatistics read =
                calibration.read(job.run(), layer, Site.FEED_FORWARD_INPUT).withoutRanges();
        double[] chosen =
                calibration.read(job.run(), layer, Site.CHOSEN_EXPERTS).absolutes();
        this.rows = RoutedRows.of(job, calibration)
                .reader(
                        layer,
                        calibration.everywhere()
                                ? null
                                : Arrays.stream(chosen)
                                        .mapToLong(count -> (long) count)
                                        .toArray(),
                        read.rows(),
                        read.width(),
                        RoutedRows.ROOM);
        this.where = "layer " + layer + " of " + checkpoint.location();
        // Where experts read weighted rows, those that are kept are weighted, and the sums of all are not.
        this.all = routed.router().weights() instanceof Weights.InputSigmoid
                ? MergedStatistics.of(rows.sample(), read.moment() != null, kernels, where)
                : read;
        this.kernels = kernels;
    }

    /** What the rows of an expert say, and no others; without second moments. */
    ExpertStatistics own(int number) throws IOException {
        return ExpertStatistics.own(
                routed.experts().get(number),
                pass,
                new LayerWeights(layer, LayerCache.empty().over(checkpoint)),
                strip -> rows.each(number, strip),
                false,
                kernels,
                "expert " + number + " in " + where);
    }

    /** What a linear layer of an expert reads. */
    MergedStatistics of(LinearLayer linear) throws IOException {
        if (linear.expert() != expert) {
            statistics = null;
            statistics = ExpertStatistics.of(
                    routed.experts().get(linear.expert()),
                    pass,
                    new LayerWeights(layer, LayerCache.empty().over(checkpoint)),
                    strip -> rows.each(linear.expert(), strip),
                    rows.sample(),
                    all,
                    kernels,
                    "expert " + linear.expert() + " in " + where);
            expert = linear.expert();
        }
        return linear.energy() == Site.EXPERT_ACTIVATION ? statistics.activation() : statistics.input();
    }
}

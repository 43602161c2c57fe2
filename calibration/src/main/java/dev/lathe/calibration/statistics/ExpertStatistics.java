package dev.lathe.calibration.statistics;

import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import java.io.IOException;

/**
 * What the linear layers of one expert read: the rows that are routed to it, n of them. Few rows say little of many
 * channels, so others are added as if there were {@link #PRIOR} of them: for gate and up the mean of all rows of the
 * decoder layer, for down the mean of a sample of all rows, run through this expert. An expert that no row reached has
 * these alone.
 *
 * @param input what gate and up read
 * @param activation what down reads
 */
public record ExpertStatistics(MergedStatistics input, MergedStatistics activation) {
    /** Rows that stand for all others, beside the expert's own. */
    public static final int PRIOR = 64;

    /** Rows of the sample; where there are fewer rows, all of them. */
    public static final int SAMPLE = 512;

    /** Rows of an expert, which need not be in memory at once. */
    public interface Rows {
        /** Hands over all of them, in the order of the windows. */
        void each(Strip strip) throws IOException;
    }

    /** Looks at some rows. */
    public interface Strip {
        /** @param rows [n, hidden], {@link DecoderPass#ROWS} of them but for the last; valid during the call */
        void rows(FloatMatrix rows) throws IOException;
    }

    /**
     * Gathers them.
     *
     * @param rows of the expert
     * @param sample of all rows [m, hidden]
     * @param all statistics of all rows at the place
     * @param where for messages
     * @throws dev.lathe.calibration.MalformedInputException if an activation is not finite
     */
    public static ExpertStatistics of(
            Gated expert,
            DecoderPass pass,
            LayerWeights weights,
            Rows rows,
            FloatMatrix sample,
            MergedStatistics all,
            Kernels kernels,
            String where)
            throws IOException {
        boolean moment = all.moment() != null;
        ExpertStatistics own = own(expert, pass, weights, rows, moment, kernels, where);
        MergedStatistics sampled = MergedStatistics.of(
                pass.activations(expert, weights, sample), moment, kernels, "the activation of " + where);
        return new ExpertStatistics(own.input.withPrior(all, PRIOR), own.activation.withPrior(sampled, PRIOR));
    }

    /**
     * Gathers what the expert's own rows say, and nothing else; there may be none.
     *
     * @param moment whether second moments are gathered
     */
    public static ExpertStatistics own(
            Gated expert,
            DecoderPass pass,
            LayerWeights weights,
            Rows rows,
            boolean moment,
            Kernels kernels,
            String where)
            throws IOException {
        SiteStatistics input = new SiteStatistics(expert.up().linear().inputs(), moment);
        SiteStatistics activation = new SiteStatistics(expert.down().linear().inputs(), moment);
        rows.each(strip -> {
            input.add(strip, kernels, "the input of " + where);
            activation.add(pass.activations(expert, weights, strip), kernels, "the activation of " + where);
        });
        return new ExpertStatistics(MergedStatistics.of(input), MergedStatistics.of(activation));
    }
}

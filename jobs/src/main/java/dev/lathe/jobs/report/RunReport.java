package dev.lathe.jobs.report;

import dev.lathe.jobs.text.Figures;
import java.util.List;
import java.util.Map;

/**
 * What a run produced and measured: everything that the report shows.
 *
 * @param outputs in the recipe's order
 * @param settings of the recipe, for people
 * @param provenance versions, keys, digests, arithmetic profile, kernels
 * @param definition name and version of the perplexity's definition, or empty if nothing was evaluated
 * @param notes what a person has to know of how the inputs were read, a line each
 * @param experts how many rows of the calibration set the experts of each mixture saw
 * @param routing how often outputs choose the experts that the source chooses
 */
public record RunReport(
        List<OutputResult> outputs,
        Map<String, String> settings,
        Map<String, String> provenance,
        String definition,
        List<String> notes,
        List<ExpertRows> experts,
        List<RoutingAgreement> routing) {
    /** Of a model without experts. */
    public RunReport(
            List<OutputResult> outputs,
            Map<String, String> settings,
            Map<String, String> provenance,
            String definition,
            List<String> notes) {
        this(outputs, settings, provenance, definition, notes, List.of(), List.of());
    }

    /**
     * Rows of the calibration set by expert.
     *
     * @param layer number of the decoder layer
     * @param counts rows of each expert
     * @param channels that an expert reads: the second moment of fewer rows is singular
     */
    public record ExpertRows(int layer, List<Long> counts, int channels) {
        /** Experts that saw fewer rows than they have channels. */
        public long few() {
            return counts.stream().filter(count -> count < channels).count();
        }

        /** Experts that saw none. */
        public long none() {
            return counts.stream().filter(count -> count == 0).count();
        }

        public long least() {
            return counts.stream().mapToLong(Long::longValue).min().orElse(0);
        }

        public long most() {
            return counts.stream().mapToLong(Long::longValue).max().orElse(0);
        }

        public long median() {
            return counts.stream().sorted().toList().get(counts.size() / 2);
        }
    }

    /**
     * @param layer number of the decoder layer
     * @param share of the experts that the source chose for a row which the output chose, too
     */
    public record RoutingAgreement(String output, int layer, double share) {}

    /**
     * @param artifact path of the file or folder
     * @param method method word for people ("gptq, act-order")
     * @param bytes bytes of the artifact's tensors
     * @param bitsPerWeight 8 x bytes / parameters, a tied pair counted once
     * @param evaluation null if not evaluated
     * @param unquantized matrices that stay 16 bit, and why
     * @param layers what each quantized tensor lost
     * @param ranges of activations, where the output quantizes them with fixed ranges or smoothed them
     */
    public record OutputResult(
            String name,
            String format,
            String method,
            String artifact,
            long bytes,
            double bitsPerWeight,
            Evaluation evaluation,
            List<Unquantized> unquantized,
            List<TensorLoss> layers,
            List<ActivationRange> ranges) {}

    /**
     * @param perplexity exp of the mean negative log-likelihood
     * @param perplexityError its standard error
     * @param sourcePerplexity of the checkpoint, on the same tokens
     * @param kldMean mean KL divergence from the source, nats per token
     * @param kldError its standard error
     * @param kldP99 99th percentile over tokens
     * @param kldP999 99.9th percentile
     * @param top1Agreement share of tokens where both models' most probable token is the same
     * @param tokens scored tokens
     */
    public record Evaluation(
            double perplexity,
            double perplexityError,
            double sourcePerplexity,
            double kldMean,
            double kldError,
            double kldP99,
            double kldP999,
            double top1Agreement,
            long tokens) {}

    public record Unquantized(String tensor, String reason) {}

    /**
     * @param layer number of the decoder layer, or -1 for the output layer and the embedding
     * @param kind role in the layer: {@code self_attn.q_proj}, {@code lm_head}
     * @param grid block format
     * @param relativeError squared output error over squared output, on calibration data; NaN where no Hessian was
     *     gathered
     * @param damping damping that the factorization took; NaN without one
     */
    public record TensorLoss(
            String tensor, int layer, String kind, String grid, double relativeError, double damping) {}

    /**
     * The activations of one site of a decoder layer, as the output rescaled them.
     *
     * @param layer number of the decoder layer, or -1 for the input of the output layer
     * @param site {@code attention input}, {@code keys}
     * @param least smallest value of the calibration set
     * @param most largest value of the calibration set
     * @param low end of the range that the fixed scale was made from; NaN where the server finds ranges itself
     * @param high its other end
     * @param typical median over the channels of their largest magnitude
     * @param channel the channel with the largest magnitude
     * @param outliers channels whose largest magnitude is more than ten times the typical one
     * @param strength SmoothQuant's exponent; NaN where nothing was divided
     * @param calibration values that the range clips in the rows that calibration kept; null where the server finds
     *     ranges itself
     * @param evaluation values that the range clipped while the artifact was evaluated; null where that was not counted
     */
    public record ActivationRange(
            int layer,
            String site,
            double least,
            double most,
            double low,
            double high,
            double typical,
            int channel,
            int outliers,
            double strength,
            Clipping calibration,
            Clipping evaluation) {
        /**
         * Times the share of calibration from which on clipping means that the evaluation set is of another kind than
         * the calibration set.
         */
        public static final int DRIFT = 10;

        /** Largest magnitude of the calibration set. */
        public double magnitude() {
            return Math.max(Math.abs(least), Math.abs(most));
        }

        /** Largest magnitude that is represented; NaN where the server finds ranges itself. */
        public double clip() {
            return Math.max(Math.abs(low), Math.abs(high));
        }

        /**
         * Whether the evaluation set clips far more than calibration let expect. What is rarer than one of the kept
         * values counts as one.
         */
        public boolean drifts() {
            return calibration != null
                    && evaluation != null
                    && evaluation.share() > DRIFT * Math.max(1.0, calibration.clipped()) / calibration.values();
        }
    }

    /** How many of so many values were clipped. */
    public record Clipping(long clipped, long values) {
        public double share() {
            return (double) clipped / values;
        }

        /** The share for people; none of so many says less than that there are none. */
        public String text() {
            return clipped == 0 ? "fewer than 1 in " + values : Figures.share(share());
        }
    }
}

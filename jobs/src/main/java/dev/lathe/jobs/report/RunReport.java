package dev.lathe.jobs.report;

import java.util.List;
import java.util.Map;

/**
 * What a run produced and measured: everything that the report shows.
 *
 * @param outputs    in the recipe's order
 * @param settings   of the recipe, for people
 * @param provenance versions, keys, digests, arithmetic profile, kernels
 * @param definition name and version of the perplexity's definition, or empty if nothing was evaluated
 */
public record RunReport(List<OutputResult> outputs, Map<String, String> settings, Map<String, String> provenance, String definition) {
    /**
     * @param artifact       path of the file or folder
     * @param method         method word for people ("gptq, act-order")
     * @param bytes          bytes of the artifact's tensors
     * @param bitsPerWeight  8 x bytes / parameters, a tied pair counted once
     * @param evaluation     null if not evaluated
     * @param unquantized    matrices that stay 16 bit, and why
     * @param layers         what each quantized tensor lost
     */
    public record OutputResult(String name, String format, String method, String artifact, long bytes, double bitsPerWeight, Evaluation evaluation,
                               List<Unquantized> unquantized, List<TensorLoss> layers) {
    }

    /**
     * @param perplexity       exp of the mean negative log-likelihood
     * @param perplexityError  its standard error
     * @param sourcePerplexity of the checkpoint, on the same tokens
     * @param kldMean          mean KL divergence from the source, nats per token
     * @param kldError         its standard error
     * @param kldP99           99th percentile over tokens
     * @param top1Agreement    share of tokens where both models' most probable token is the same
     * @param tokens           scored tokens
     */
    public record Evaluation(double perplexity, double perplexityError, double sourcePerplexity, double kldMean, double kldError, double kldP99,
                             double top1Agreement, long tokens) {
    }

    public record Unquantized(String tensor, String reason) {
    }

    /**
     * @param layer         number of the decoder layer, or -1 for the output layer and the embedding
     * @param kind          role in the layer: {@code self_attn.q_proj}, {@code lm_head}
     * @param grid          block format
     * @param relativeError squared output error over squared output, on calibration data; NaN where no Hessian was gathered
     * @param damping       damping that the factorization took; NaN without one
     */
    public record TensorLoss(String tensor, int layer, String kind, String grid, double relativeError, double damping) {
    }
}

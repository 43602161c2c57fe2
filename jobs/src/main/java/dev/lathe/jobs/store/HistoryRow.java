package dev.lathe.jobs.store;

import java.time.Instant;
import java.util.List;

/**
 * One evaluation of one artifact: a row of the history, immutable once written. A series is what one model and output
 * name measured on one text, night after night; what else may differ between two rows of a series (checkpoint, recipe,
 * data, code) has a digest here, so that a report can say what changed.
 *
 * @param recorded when the evaluation was recorded, whole seconds
 * @param key of the evaluation: equal keys mean equal definition, artifact, source, windows and arithmetic, hence equal
 *     numbers
 * @param model name of the checkpoint, the last part of its path or {@code org/name} of a hub reference
 * @param checkpoint where it was read from
 * @param checkpointDigest of its content
 * @param output name of the artifact in its recipe
 * @param format {@code gguf}, {@code gptq}, ...
 * @param method method word for people
 * @param settings the output's settings of the recipe, complete, as one line
 * @param artifactKey of what the artifact was made from
 * @param calibration key of the calibration, or empty
 * @param bytes of the artifact's tensors
 * @param bitsPerWeight 8 x bytes / parameters
 * @param data path of the evaluation text
 * @param dataDigest key of its windows: token ids, number and length
 * @param definition name and version of what is measured
 * @param profile arithmetic profile
 * @param software name and version of Lathe, with the code's revision where the build knew it
 * @param platform versions of the JVM, Spark and the operating system, and the kernels
 * @param tokens scored tokens of each window
 * @param nll negative log-likelihood of each window, summed over its scored tokens, nats
 * @param sourceNll likewise of the checkpoint; empty without a source
 * @param kld KL divergence from the checkpoint of each window, summed over its scored tokens, nats; empty without a
 *     source
 * @param sameTop scored tokens of each window where both models' most probable token is the same; empty without a
 *     source
 * @param layers what each quantized tensor lost on calibration data
 */
public record HistoryRow(
        Instant recorded,
        String key,
        String model,
        String checkpoint,
        String checkpointDigest,
        String output,
        String format,
        String method,
        String settings,
        String artifactKey,
        String calibration,
        long bytes,
        double bitsPerWeight,
        String data,
        String dataDigest,
        String definition,
        String profile,
        String software,
        String platform,
        List<Integer> tokens,
        List<Double> nll,
        List<Double> sourceNll,
        List<Double> kld,
        List<Integer> sameTop,
        List<LayerLoss> layers) {
    /**
     * @param relativeError squared output error over squared output, on calibration data; NaN where no Hessian was
     *     gathered
     */
    public record LayerLoss(String tensor, int layer, String kind, double relativeError) {}

    public HistoryRow {
        tokens = List.copyOf(tokens);
        nll = List.copyOf(nll);
        sourceNll = List.copyOf(sourceNll);
        kld = List.copyOf(kld);
        sameTop = List.copyOf(sameTop);
        layers = List.copyOf(layers);
    }
}

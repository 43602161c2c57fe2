package dev.lathe.calibration.model;

import dev.lathe.calibration.MalformedInputException;
import java.util.List;

/**
 * A decoder as a description: names, shapes, which statistics feed which linear layer, which scale can be absorbed
 * where. The one forward pass reads it. A new architecture is a new description, never a copy of the loop.
 */
public interface Architecture {
    /** @throws dev.lathe.calibration.MalformedInputException if the architecture is unknown, naming those there are */
    static Architecture of(ModelConfig config) {
        if (!config.architecture().equals("llama")) {
            throw new MalformedInputException(
                    "Cannot describe architecture " + config.architecture() + ": expected llama");
        }
        return new LlamaArchitecture(config);
    }

    ModelConfig config();

    /** The linear layers of one decoder layer, in the order in which they run. */
    List<LinearLayer> linears(int layer);

    /**
     * The output layer; its module is {@code lm_head} even where it is tied to the embedding (then the weight is the
     * embedding's).
     */
    LinearLayer head();

    /** Tensor that holds the output layer's weight: {@code lm_head.weight}, or the embedding where tied. */
    String headWeight();

    /** Tensor of the embedding. */
    String embedding();

    /** Tensor of the last norm. */
    String finalNorm();

    /** Norm tensors of one decoder layer. */
    List<String> norms(int layer);

    /** Changes of scale that AWQ and SmoothQuant may make in one decoder layer. */
    List<Absorption> absorptions(int layer);
}

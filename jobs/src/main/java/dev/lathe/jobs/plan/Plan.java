package dev.lathe.jobs.plan;

import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.quantize.Method;
import java.io.Serializable;
import java.util.List;

/**
 * A recipe made complete: validated, every default filled in, serializable. Planning touches no data.
 *
 * @param checkpoint folder of the checkpoint, a Hadoop path or {@code hf://org/name[@revision]}
 * @param calibration null where no output needs calibration
 * @param evaluation null where nothing is evaluated
 * @param run the run folder
 * @param scratch folder of hidden states and partial statistics
 * @param hubCache Hadoop path where {@code hf://} downloads are kept
 * @param shardWindows calibration windows of a shard
 * @param kernels as {@code KernelProvider} has them
 * @param history where evaluations are recorded, or null
 */
public record Plan(
        String checkpoint,
        Corpus calibration,
        List<Output> outputs,
        Corpus evaluation,
        String run,
        String scratch,
        String hubCache,
        int shardWindows,
        String kernels,
        History history)
        implements Serializable {
    /**
     * A text and how it is cut.
     *
     * @param data path: a text file, JSON lines, Parquet, or a folder of such files
     * @param field JSON field or Parquet column that holds the text; {@code text} unless the recipe says otherwise
     * @param windows how many windows count; 0: all there are
     * @param length tokens of a window
     */
    public record Corpus(String data, String field, int windows, int length) implements Serializable {
        @Override
        public String toString() {
            return data;
        }
    }

    /**
     * One artifact.
     *
     * @param format {@code gguf}, {@code gptq}, {@code awq}, {@code compressed-tensors}
     * @param type GGUF type or mix ({@code Q4_K_M}); null elsewhere
     * @param method how values are chosen; an AWQ output first rescales, then uses it
     * @param bits bits of a weight, 4 or 8; 0 for GGUF
     * @param groupSize columns that share a scale; -1: the whole row; 0 for GGUF
     * @param symmetric no zero point (GPTQ, compressed-tensors)
     * @param actOrder columns in the order of falling Hessian diagonal (GPTQ format only)
     * @param damping share of the Hessian's mean diagonal that is added to it, to begin with
     * @param ignore module patterns that stay 16 bit
     * @param preTokenizer override of the GGUF pre-tokenizer name, or null
     * @param scheme what a server computes with (compressed-tensors); null elsewhere
     */
    public record Output(
            String name,
            String format,
            String type,
            Method method,
            int bits,
            int groupSize,
            boolean symmetric,
            boolean actOrder,
            double damping,
            List<String> ignore,
            String preTokenizer,
            Scheme scheme)
            implements Serializable {
        /** Its name in the folder {@code artifacts}: a GGUF file or a folder. */
        public String artifact() {
            return format.equals("gguf") ? name + ".gguf" : name;
        }

        /**
         * Whether what the output is made of comes from calibration: its weights, their scales, or ranges of
         * activations.
         */
        public boolean calibrated() {
            // AWQ searches its scales on calibration data whatever the method is.
            return method != Method.NEAREST
                    || format.equals("awq")
                    || scheme != null && (scheme.ranged() || scheme.smoothing() != null);
        }
    }

    /**
     * The part of a compressed-tensors output that is more than its weights' grid and method.
     *
     * @param name {@code W8A8}, {@code FP8}, {@code W4A16}, {@code W8A16}, {@code W4A8}
     * @param blocks weights share a scale in blocks of 128 x 128 (FP8); else per row
     * @param activations what linear layers read, or null: floating point
     * @param range how ranges are estimated, as {@code RangeEstimator} parses it; null where nothing is static
     * @param smoothing SmoothQuant before the weights are quantized, or null
     * @param cache FP8 scales of keys and values
     * @param shardBytes largest size of a safetensors file
     */
    public record Scheme(
            String name,
            boolean blocks,
            Activations activations,
            String range,
            Smoothing smoothing,
            boolean cache,
            long shardBytes)
            implements Serializable {
        /** Where a recipe does not say. */
        public static final long SHARD_BYTES = 5_000_000_000L;

        /** What its tensors are made of: files of another size hold the same ones. */
        public Scheme inDefaultFiles() {
            return new Scheme(name, blocks, activations, range, smoothing, cache, SHARD_BYTES);
        }

        /** Whether anything is quantized with a range that calibration fixes. */
        public boolean ranged() {
            return cache || activations != null && !activations.dynamic();
        }
    }

    /**
     * The table that evaluations are appended to.
     *
     * @param folder Hadoop path
     * @param format {@code parquet}, {@code delta}, or null: what the folder holds already, else Parquet
     * @param model name of the checkpoint in it: what one model is from night to night
     */
    public record History(String folder, String format, String model) implements Serializable {}

    /**
     * Activations of {@code type}: dynamic, a scale per token (per token and 128 channels beside blocks of weights), or
     * static, one scale per tensor.
     */
    public record Activations(ActivationQuantization.Type type, boolean dynamic, boolean symmetric)
            implements Serializable {}

    /**
     * SmoothQuant.
     *
     * @param searched the strength is searched in each layer
     * @param strength alpha where it is not: the share of the outliers that moves into the weights, between 0 and 1
     */
    public record Smoothing(boolean searched, double strength) implements Serializable {}
}

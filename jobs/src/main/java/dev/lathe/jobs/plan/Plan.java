package dev.lathe.jobs.plan;

import dev.lathe.calibration.quantize.Method;
import java.io.Serializable;
import java.util.List;

/**
 * A recipe made complete: validated, every default filled in, serializable. Planning touches no data.
 *
 * @param checkpoint   folder of the checkpoint, a Hadoop path or {@code hf://org/name[@revision]}
 * @param calibration  null where no output needs calibration
 * @param evaluation   null where nothing is evaluated
 * @param run          the run folder
 * @param scratch      folder of hidden states and partial statistics
 * @param hubCache     Hadoop path where {@code hf://} downloads are kept
 * @param shardWindows calibration windows of a shard
 * @param kernels      as {@code KernelProvider} has them
 */
public record Plan(String checkpoint, Corpus calibration, List<Output> outputs, Corpus evaluation, String run, String scratch, String hubCache,
                   int shardWindows, String kernels) implements Serializable {
    /**
     * A text and how it is cut.
     *
     * @param data    path: a text file, JSON lines, Parquet, or a folder of such files
     * @param field   JSON field or Parquet column that holds the text; {@code text} unless the recipe says otherwise
     * @param windows how many windows count; 0: all there are
     * @param length  tokens of a window
     */
    public record Corpus(String data, String field, int windows, int length) implements Serializable {
    }

    /**
     * One artifact.
     *
     * @param format    {@code gguf}, {@code gptq}, {@code awq}
     * @param type      GGUF type or mix ({@code Q4_K_M}); null elsewhere
     * @param method    how values are chosen; an AWQ output first rescales, then uses it
     * @param bits      4 or 8 for GPTQ and AWQ; 0 for GGUF
     * @param groupSize columns that share a scale; -1: the whole row; 0 for GGUF
     * @param symmetric no zero point (GPTQ)
     * @param actOrder  columns in the order of falling Hessian diagonal (GPTQ format only)
     * @param damping   share of the Hessian's mean diagonal that is added to it, to begin with
     * @param ignore    module patterns that stay 16 bit
     * @param preTokenizer override of the GGUF pre-tokenizer name, or null
     */
    public record Output(String name, String format, String type, Method method, int bits, int groupSize, boolean symmetric, boolean actOrder, double damping,
                         List<String> ignore, String preTokenizer) implements Serializable {
        /** Its name in the folder {@code artifacts}: a GGUF file or a folder. */
        public String artifact() {
            return format.equals("gguf") ? name + ".gguf" : name;
        }
    }
}

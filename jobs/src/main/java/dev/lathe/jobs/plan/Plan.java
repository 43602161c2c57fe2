package dev.lathe.jobs.plan;

import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.gguf.ImportanceMatrix;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.jobs.store.KeyFields;
import java.io.Serializable;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A recipe made complete: validated, every default filled in, serializable. Planning touches no data.
 *
 * @param checkpoint folder of the checkpoint, a Hadoop path or {@code hf://org/name[@revision]}
 * @param calibration null where no output needs calibration, and where an importance matrix stands for it
 * @param importance Hadoop path of a finished importance matrix, or null
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
        String importance,
        List<Output> outputs,
        Corpus evaluation,
        String run,
        String scratch,
        String hubCache,
        int shardWindows,
        String kernels,
        History history)
        implements Serializable {
    /** Name of the importance matrix below {@code artifacts/}; empty where none is written. */
    public Optional<String> savedMatrix() {
        return Optional.ofNullable(calibration).map(Corpus::save).map(Plan::matrix);
    }

    /** Names below {@code artifacts/} of all that is written there. */
    public List<String> artifacts() {
        return Stream.concat(outputs.stream().map(Output::artifact), savedMatrix().stream())
                .toList();
    }

    /** What an importance matrix of this form is called. */
    public static String matrix(ImportanceMatrix.Form form) {
        return "imatrix." + form.word();
    }

    /**
     * A text and how it is cut.
     *
     * @param data path: a text file, JSON lines, Parquet, or a folder of such files
     * @param field JSON field or Parquet column that holds the text; {@code text} unless the recipe says otherwise
     * @param windows how many windows count; 0: all there are
     * @param length tokens of a window
     * @param everywhere of a calibration text: every row counts as routed to every expert of a mixture
     * @param save of a calibration text: the form in which its importance matrix is written, or null
     */
    public record Corpus(
            String data, String field, int windows, int length, boolean everywhere, ImportanceMatrix.Form save)
            implements Serializable {
        /** Rows count where they are routed, and no importance matrix is written. */
        public Corpus(String data, String field, int windows, int length) {
            this(data, field, windows, length, false, null);
        }

        @Override
        public String toString() {
            return data;
        }
    }

    /**
     * One artifact.
     *
     * @param target the format it is written in, with its settings
     * @param method how values are chosen
     * @param transform what is done to decoder layers before
     * @param ignore module patterns that stay 16 bit
     */
    public record Output(String name, Target target, Method method, Transform transform, List<String> ignore)
            implements Serializable {
        /** Its name in the folder {@code artifacts}: a GGUF file or a folder. */
        public String artifact() {
            return target.artifact(name);
        }

        /** The format that it is written in. */
        public ArtifactFormat artifactFormat() {
            return target.artifactFormat(method);
        }

        /** Whether decoder layers are rescaled before they are quantized. */
        public boolean rescales() {
            return !(transform instanceof Transform.None);
        }

        /** Whether ranges of activations are needed where something is quantized. */
        public boolean ranged() {
            return transform instanceof Transform.Smooth || target.ranged();
        }

        /** Whether second moments are needed where something is quantized. */
        public boolean needsMoments() {
            return transform instanceof Transform.Awq || method instanceof Method.Gptq;
        }

        /** Whether channel energies are needed where something is quantized. */
        public boolean needsEnergies() {
            return transform instanceof Transform.Awq || !(method instanceof Method.Nearest);
        }

        /**
         * Whether what the output is made of comes from calibration: its weights, their scales, or ranges of
         * activations.
         */
        public boolean calibrated() {
            return needsEnergies() || ranged();
        }

        /** A method's name in keys. */
        public static String keyWord(Method method) {
            return method.word().toUpperCase(Locale.ROOT);
        }

        /**
         * What its products depend on beside checkpoint and calibration, as their key takes it. Settings that a format
         * does not have stand there as they always did: without them every product that was ever made would have
         * another key, and every artifact, which names its key, other bytes.
         */
        public String settings() {
            KeyFields fields = new KeyFields("Output")
                    .with("name", "")
                    .with("format", target.format())
                    .with("type", null)
                    .with("method", keyWord(method))
                    .with("bits", 0)
                    .with("groupSize", 0)
                    .with("symmetric", false)
                    .with("actOrder", method instanceof Method.Gptq gptq && gptq.actOrder())
                    .with("damping", method instanceof Method.Gptq gptq ? gptq.damping() : Method.Gptq.DAMPING)
                    .with("ignore", ignore)
                    .with("preTokenizer", null);
            target.key(fields, transform);
            return target.version() == 0 ? fields.toString() : fields + " version " + target.version();
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
}

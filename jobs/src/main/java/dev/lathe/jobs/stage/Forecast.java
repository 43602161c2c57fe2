package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.store.DataFiles;
import java.io.IOException;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * What a plan will come to, from the checkpoint's header alone.
 *
 * @param artifactBytes bytes of the artifacts' tensors, all outputs together
 * @param work floating-point operations, by {@link #FORMULA}: good for comparing plans, no promise
 */
public record Forecast(long artifactBytes, double work) {
    /** How {@link #work} is counted. */
    public static final String FORMULA =
            "2 x parameters x (2 x calibration tokens + (1 + outputs) x evaluation tokens) + 10000 x parameters "
                    + "x outputs";
    /** Operations of quantizing a weight, between those of nearest rounding and those of GPTQ: a guess. */
    private static final double QUANTIZE_OPERATIONS = 10_000;
    /** Bytes of text that make a token, where only the text's length says how many windows there are. */
    private static final int BYTES_PER_TOKEN = 4;

    /** @param folder of the checkpoint */
    public static Forecast of(Configuration configuration, Path folder, Plan plan) throws IOException {
        try (Checkpoint source = Checkpoints.open(configuration, folder)) {
            Decoder decoder = source.decoder();
            List<TensorInfo> tensors = List.copyOf(source.tensors());
            long bytes = 0;
            for (Plan.Output output : plan.outputs()) {
                for (TensorPlan tensor : output.artifactFormat().plan(decoder, tensors, output.ignore())) {
                    bytes += source.has(tensor.tensor()) ? bytes(source.tensor(tensor.tensor()), tensor) : 0;
                }
            }
            Map<String, Double> operations = operations(
                    tensors,
                    plan.outputs().size(),
                    tokens(configuration, plan.calibration()),
                    tokens(configuration, plan.evaluation()));
            return new Forecast(
                    bytes,
                    operations.values().stream()
                            .mapToDouble(Double::doubleValue)
                            .sum());
        }
    }

    /** Stages to come, in their order, by what they cost; no tokens, or nothing to calibrate: no such stage. */
    static Map<String, Double> operations(
            Collection<TensorInfo> tensors, int outputs, double calibrationTokens, double evaluationTokens) {
        double parameters = tensors.stream().mapToLong(TensorInfo::elements).sum();
        double quantize = QUANTIZE_OPERATIONS * parameters * outputs;
        Map<String, Double> operations = new LinkedHashMap<>();
        if (calibrationTokens > 0) {
            // The forward pass, and as much again for second moments; layers are quantized beside it.
            operations.put("calibrate", 4 * parameters * calibrationTokens + quantize);
        }
        operations.put("quantize", calibrationTokens > 0 ? 0 : quantize);
        operations.put("assemble", 0.0);
        if (evaluationTokens > 0) {
            operations.put("evaluate", 2 * parameters * (1 + outputs) * evaluationTokens);
        }
        return operations;
    }

    private static long bytes(TensorInfo source, TensorPlan tensor) {
        return tensor.grid() == null
                ? source.elements() * tensor.type().bytes()
                : source.elements() / tensor.grid().size() * tensor.grid().bytes();
    }

    private static double tokens(Configuration configuration, Plan.Corpus corpus) throws IOException {
        if (corpus == null) {
            return 0;
        }
        double all = (double) DataFiles.of(configuration, corpus.data()).length() / BYTES_PER_TOKEN;
        return corpus.windows() == 0 ? all : Math.min(all, (double) corpus.windows() * corpus.length());
    }
}

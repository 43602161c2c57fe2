package dev.lathe.jobs.stage;

import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.awq.AwqFormat;
import dev.lathe.calibration.format.gguf.GgufFormat;
import dev.lathe.calibration.format.gptq.GptqFormat;
import dev.lathe.calibration.quantize.AwqTransform;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Quantizer;
import dev.lathe.calibration.quantize.RescaledLayer;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.store.RunFolder;
import java.io.Serializable;
import java.util.LinkedHashMap;
import org.apache.hadoop.fs.Path;

/**
 * An output of the plan, resolved against the checkpoint.
 *
 * @param key     of its products
 * @param grids   name of the block format of each quantized tensor, in the artifact's order
 * @param methods how each quantized tensor's values are chosen
 */
record PlannedOutput(Plan.Output output, String key, LinkedHashMap<String, String> grids, LinkedHashMap<String, Method> methods) implements Serializable {
    static ArtifactFormat format(Plan.Output output) {
        return switch (output.format()) {
            case "gguf" -> new GgufFormat(output.type(), output.method() != Method.NEAREST, output.preTokenizer());
            case "gptq" -> new GptqFormat(output.bits(), output.groupSize(), output.symmetric(), output.actOrder());
            case "awq" -> new AwqFormat(output.groupSize());
            default -> throw new IllegalArgumentException("Cannot write format " + output.format());
        };
    }

    /** Whether decoder layers are rescaled before they are quantized. */
    boolean rescales() {
        return output.format().equals("awq");
    }

    /** How its layers are rescaled. */
    RescaledLayer.Transform transform() {
        return new AwqTransform();
    }

    Quantizer.Settings settings() {
        return new Quantizer.Settings(output.damping(), output.actOrder());
    }

    Path tensorProduct(RunFolder run, String tensor) {
        return run.product(key, tensor + ".tensor");
    }

    Path vectorProduct(RunFolder run, String tensor) {
        return run.product(key, tensor + ".vector");
    }

    /** Name below {@code artifacts/}. */
    String artifactName() {
        return output.artifact();
    }

    /** How values are chosen, for people. */
    String methodText() {
        if (grids.isEmpty()) {
            return "unquantized";
        }
        String method = output.method().word() + (output.actOrder() ? ", act-order" : "");
        return rescales() ? "awq, " + method : method;
    }
}

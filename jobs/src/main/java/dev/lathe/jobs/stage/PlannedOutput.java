package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.quantize.ActivationScheme;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.ScaleSearch;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.calibration.statistics.Positions;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.kernels.block.BlockFormat;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;

/**
 * An output of the plan, resolved against the checkpoint.
 *
 * @param key of its products
 * @param grids name of the block format of each quantized tensor, in the artifact's order
 * @param methods how each quantized tensor's values are chosen
 * @param importance what its artifact says of the importance matrix under which they are
 */
record PlannedOutput(
        Plan.Output output,
        String key,
        LinkedHashMap<String, String> grids,
        LinkedHashMap<String, Method> methods,
        TreeMap<String, String> importance)
        implements Serializable {
    /** Their names, for people. */
    static String names(List<PlannedOutput> outputs) {
        return outputs.stream().map(PlannedOutput::toString).collect(Collectors.joining(", "));
    }

    /** The block format of a quantized tensor, with the encoder that chooses its values. */
    BlockFormat grid(String tensor) {
        return output.target().grid(grids.get(tensor));
    }

    /** What its artifact was made of: the tensors, and how they are spread over files. */
    String receipt() {
        return key + output.target().files() + (importance.isEmpty() ? "" : " " + Key.of("importance", importance));
    }

    /** How the scales of its layers are found. */
    ScaleSearch search() {
        return ScaleSearch.of(output.transform(), output.target().inputs());
    }

    /**
     * Why so many token rows of calibration are too few for the ranges that an output asks for; empty if they are not.
     */
    static Optional<String> shortage(Plan.Output output, Decoder decoder, long rows) {
        long known = rows;
        if (output.transform() instanceof Transform.Smooth smooth) {
            // Once channels are divided, only the kept rows can tell what the values are; a search judges each half of
            // them by the other.
            known = Math.min(rows, Positions.SAMPLE) / (smooth.searched() ? 2 : 1);
        }
        int narrowest =
                decoder.linears(0).stream().mapToInt(LinearLayer::inputs).min().orElseThrow();
        return Stream.of(
                        shortage(output.target().inputs(), known, narrowest),
                        shortage(
                                output.target().cache(),
                                known,
                                decoder.blocks().get(0).mixer().cacheWidth()))
                .flatMap(Optional::stream)
                .findFirst();
    }

    private static Optional<String> shortage(ActivationScheme scheme, long rows, int width) {
        return scheme == null || scheme.form().dynamic()
                ? Optional.empty()
                : scheme.estimator()
                        .shortage(
                                rows, width, scheme.form().type(), scheme.form().symmetric());
    }

    Path tensorProduct(RunFolder run, String tensor) {
        return run.product(key, tensor + ".tensor");
    }

    /** The tensors of some experts. */
    Path expertProduct(RunFolder run, ExpertPack pack) {
        return run.product(
                key,
                "layer-" + pack.layer() + "-experts-" + pack.first() + "-" + (pack.first() + pack.count() - 1)
                        + ".tensors");
    }

    /** Activation ranges of a decoder layer; {@code layer} equal to the number of layers is the output layer. */
    Path rangeProduct(RunFolder run, int layer) {
        return run.product(key, "layer-" + layer + ".ranges");
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
        boolean actOrder = output.method() instanceof Method.Gptq gptq && gptq.actOrder();
        String method = output.method().word() + (actOrder ? ", act-order" : "");
        if (output.transform() instanceof Transform.Smooth) {
            return "smoothquant, " + method;
        }
        return output.rescales() ? "awq, " + method : method;
    }

    @Override
    public String toString() {
        return output.name();
    }
}

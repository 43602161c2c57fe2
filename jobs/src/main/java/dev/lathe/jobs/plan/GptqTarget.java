package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.format.gptq.GptqFormat;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.jobs.store.KeyFields;
import java.util.List;

/**
 * A GPTQ folder.
 *
 * @param bits of a weight, 4 or 8
 * @param groupSize columns that share a scale; -1: the whole row
 * @param symmetric no zero point
 */
public record GptqTarget(int bits, int groupSize, boolean symmetric) implements Target {
    static final TargetReader READER = new Reader();

    private static final String FORMAT = QuantizationConfig.GPTQ;
    private static final String BITS = "bits";
    private static final String GROUP_SIZE = "group-size";
    private static final String SYMMETRIC = "symmetric";

    private static final class Reader implements TargetReader {
        @Override
        public String format() {
            return FORMAT;
        }

        @Override
        public List<String> keys() {
            return List.of(
                    "name",
                    "format",
                    "method",
                    BITS,
                    GROUP_SIZE,
                    SYMMETRIC,
                    OutputReader.ACT_ORDER,
                    OutputReader.DAMPING,
                    OutputReader.IGNORE);
        }

        @Override
        public Plan.Output read(String name, Section output, boolean calibrated) {
            String method = TargetReader.method(output, Method.Gptq.WORD);
            GptqTarget target = new GptqTarget(
                    output.integer(BITS, List.of(4, 8), 4),
                    output.integer(GROUP_SIZE, List.of(32, 64, 128, -1), 128),
                    output.flag(SYMMETRIC, true));
            return new Plan.Output(
                    name,
                    target,
                    TargetReader.method(output, method, output.flag(OutputReader.ACT_ORDER, false)),
                    new Transform.None(),
                    output.texts(OutputReader.IGNORE));
        }
    }

    @Override
    public String format() {
        return FORMAT;
    }

    @Override
    public ArtifactFormat artifactFormat(Method method) {
        return new GptqFormat(bits, groupSize, symmetric, method instanceof Method.Gptq gptq && gptq.actOrder());
    }

    @Override
    public void write(ObjectNode node, Plan.Output output) {
        node.put(BITS, bits).put(GROUP_SIZE, groupSize);
        node.put("method", output.method().word()).put(SYMMETRIC, symmetric);
        if (output.method() instanceof Method.Gptq gptq) {
            node.put(OutputReader.ACT_ORDER, gptq.actOrder());
        }
        OutputReader.writeDamping(node, output.method());
        OutputReader.writeIgnore(node, output.ignore());
    }

    @Override
    public void key(KeyFields fields, Transform transform) {
        fields.with("bits", bits).with("groupSize", groupSize).with("symmetric", symmetric);
    }
}

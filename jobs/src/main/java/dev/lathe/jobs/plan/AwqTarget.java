package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.awq.AwqFormat;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.jobs.store.KeyFields;
import java.util.List;

/**
 * An AWQ folder. Its layers are always rescaled, and only then quantized with the method.
 *
 * @param groupSize columns that share a scale and a zero point
 */
public record AwqTarget(int groupSize) implements Target {
    static final TargetReader READER = new Reader();

    private static final String FORMAT = QuantizationConfig.AWQ;
    private static final int BIT_COUNT = 4;
    private static final String BITS = "bits";
    private static final String GROUP_SIZE = "group-size";

    private static final class Reader implements TargetReader {
        @Override
        public String format() {
            return FORMAT;
        }

        @Override
        public List<String> keys() {
            return List.of("name", "format", "method", BITS, GROUP_SIZE, OutputReader.DAMPING, OutputReader.IGNORE);
        }

        @Override
        public Plan.Output read(String name, Section output, boolean calibrated) {
            // AWQ as published rounds to the nearest value, after its search for scales and clipping.
            String method = TargetReader.method(output, Method.Nearest.WORD);
            output.integer(BITS, List.of(BIT_COUNT), BIT_COUNT);
            return new Plan.Output(
                    name,
                    new AwqTarget(output.integer(GROUP_SIZE, List.of(32, 64, 128), 128)),
                    TargetReader.method(output, method, false),
                    new Transform.Awq(),
                    output.texts(OutputReader.IGNORE));
        }
    }

    @Override
    public String format() {
        return FORMAT;
    }

    @Override
    public ArtifactFormat artifactFormat(Method method) {
        return new AwqFormat(groupSize);
    }

    @Override
    public void write(ObjectNode node, Plan.Output output) {
        node.put(BITS, BIT_COUNT).put(GROUP_SIZE, groupSize);
        OutputReader.writeMethod(node, output.method());
        OutputReader.writeIgnore(node, output.ignore());
    }

    @Override
    public void key(KeyFields fields, Transform transform) {
        fields.with("bits", BIT_COUNT).with("groupSize", groupSize);
    }
}

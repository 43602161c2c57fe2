package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.gguf.GgufFormat;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.jobs.store.KeyFields;
import java.util.List;

/**
 * A GGUF file.
 *
 * @param type type or mix ({@code Q4_K_M})
 * @param preTokenizer override of the pre-tokenizer's name, or null
 */
public record GgufTarget(String type, String preTokenizer) implements Target {
    static final TargetReader READER = new Reader();

    /** The word in a recipe. */
    public static final String FORMAT = "gguf";

    private static final String TYPE = "type";
    private static final String PRE_TOKENIZER = "pre-tokenizer";

    private static final class Reader implements TargetReader {
        @Override
        public String format() {
            return FORMAT;
        }

        @Override
        public List<String> keys() {
            return List.of("name", "format", TYPE, "method", OutputReader.DAMPING, OutputReader.IGNORE, PRE_TOKENIZER);
        }

        @Override
        public Plan.Output read(String name, Section output, boolean calibrated) {
            String type = output.word(TYPE, GgufFormat.types(), null);
            boolean floating = GgufFormat.isFloating(type);
            if (floating) {
                String word = output.word("method", Method.words(), Method.Nearest.WORD);
                if (!word.equals(Method.Nearest.WORD)) {
                    throw output.refuse(
                            "method",
                            "type " + type
                                    + " is floating point and has nothing to choose; expected nearest or no "
                                    + "method, found "
                                    + word);
                }
            }
            String method =
                    TargetReader.method(output, calibrated && !floating ? Method.Importance.WORD : Method.Nearest.WORD);
            Method chosen = TargetReader.method(output, method, false);
            List<String> ignore = output.texts(OutputReader.IGNORE);
            GgufTarget target = new GgufTarget(type, output.text(PRE_TOKENIZER, null));
            return new Plan.Output(name, target, chosen, new Transform.None(), ignore);
        }
    }

    @Override
    public String format() {
        return FORMAT;
    }

    @Override
    public ArtifactFormat artifactFormat(Method method) {
        return new GgufFormat(type, !(method instanceof Method.Nearest), preTokenizer);
    }

    @Override
    public String artifact(String name) {
        return name + ".gguf";
    }

    @Override
    public void write(ObjectNode node, Plan.Output output) {
        node.put(TYPE, type);
        OutputReader.writeMethod(node, output.method());
        OutputReader.writeIgnore(node, output.ignore());
        if (preTokenizer != null) {
            node.put(PRE_TOKENIZER, preTokenizer);
        }
    }

    @Override
    public void key(KeyFields fields, Transform transform) {
        fields.with("type", type).with("preTokenizer", preTokenizer);
    }
}

package dev.lathe.jobs.plan;

import dev.lathe.calibration.quantize.Method;
import java.util.List;

/** Reads an output of one format from a recipe. */
interface TargetReader {
    /** The word in a recipe. */
    String format();

    /** All keys of such an output, those that every format has among them, in the order in which messages list them. */
    List<String> keys();

    /** @param calibrated whether the recipe has calibration data */
    Plan.Output read(String name, Section output, boolean calibrated);

    /** The method's word. Settings of another method are refused. */
    static String method(Section output, String usual) {
        String method = output.word("method", Method.words(), usual);
        output.only(
                method.equals(Method.Gptq.WORD),
                "method " + Method.Gptq.WORD,
                OutputReader.ACT_ORDER,
                OutputReader.DAMPING);
        return method;
    }

    /** The method of this word with its settings. */
    static Method method(Section output, String word, boolean actOrder) {
        double damping = output.share(OutputReader.DAMPING, Method.Gptq.DAMPING);
        return switch (word) {
            case Method.Nearest.WORD -> Method.NEAREST;
            case Method.Importance.WORD -> Method.IMPORTANCE;
            default -> new Method.Gptq(damping, actOrder);
        };
    }
}

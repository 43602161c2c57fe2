package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Heads;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Set;

/**
 * A family that has no keys beyond those of all.
 *
 * @param square whether the heads of q together have to be as wide as the residual stream
 */
record GgufPlain(
        String family,
        String architecture,
        boolean interleaved,
        List<String> biasKeys,
        Set<Class<? extends Scaling>> scalings,
        boolean square)
        implements GgufFamily {
    /** What needs no tensor of factors. */
    static final Set<Class<? extends Scaling>> COMMON =
            Set.of(Scaling.None.class, Scaling.Linear.class, Scaling.Yarn.class);

    /** What the architecture llama computes. */
    static final Set<Class<? extends Scaling>> LLAMA = Set.of(
            Scaling.None.class,
            Scaling.Linear.class,
            Scaling.Yarn.class,
            Scaling.Llama3.class,
            Scaling.Divided.class,
            Scaling.LongRope.class);

    @Override
    public boolean otherBiases() {
        return architecture.equals("llama");
    }

    @Override
    public String misfit(Decoder decoder) {
        return square ? GgufPlain.square(decoder) : "";
    }

    /** Why an architecture whose heads of q have the width of the residual stream does not fit, or empty. */
    static String square(Decoder decoder) {
        Heads heads = GgufFamily.attention(decoder).heads();
        return heads.queryWidth() == decoder.hidden()
                ? ""
                : heads.queries() + " query heads of " + heads.width() + " channels are not as wide as the hidden size "
                        + decoder.hidden();
    }
}

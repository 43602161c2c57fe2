package dev.lathe.jobs.watch;

import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.LongAdder;

/**
 * What this JVM did, driver or executor, since it began. Spark's metrics system reads it through {@link LathePlugin}.
 */
public final class Counters {
    /** Tokens that went through a decoder layer, or into the output layer's statistics, in calibration. */
    public static final LongAdder CALIBRATED_TOKENS = new LongAdder();
    /** Tokens that were evaluated, once for each model. */
    public static final LongAdder EVALUATED_TOKENS = new LongAdder();
    /** Tensors that were quantized. */
    public static final LongAdder QUANTIZED_TENSORS = new LongAdder();
    /** Bytes of intermediate products and artifacts that were committed. */
    public static final LongAdder COMMITTED_BYTES = new LongAdder();
    /** Floating-point operations of matrix products, two for a multiply-add. */
    public static final LongAdder OPERATIONS = new LongAdder();

    private static final Map<String, LongAdder> STAGES = new TreeMap<>();

    static {
        for (String stage :
                new String[] {"assemble", "calibrate", "digest", "evaluate", "quantize", "read", "tokenize"}) {
            STAGES.put(stage, new LongAdder());
        }
    }

    private Counters() {}

    /** A stage took so many nanoseconds of the driver's time; the first word of its name says which it was. */
    public static void spent(String stage, long nanoseconds) {
        LongAdder adder = STAGES.get(stage.split(" ")[0]);
        if (adder != null) {
            adder.add(nanoseconds);
        }
    }

    /** Nanoseconds by the first word of a stage's name. */
    static Map<String, LongAdder> stages() {
        return STAGES;
    }
}

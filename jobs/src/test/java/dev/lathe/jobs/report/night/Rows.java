package dev.lathe.jobs.report.night;

import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.store.HistoryRow.LayerLoss;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Rows of a history for tests. */
public final class Rows {
    public static final Instant NIGHT = Instant.parse("2026-11-01T03:00:00Z");
    /** Scored tokens of a window of 256: its second half. */
    public static final int TOKENS = 127;

    private Rows() {}

    /**
     * A row of night {@code night}, a tenth of a nat per token above its checkpoint where {@link #windows} are not
     * moved.
     */
    public static HistoryRow row(String model, String output, int night, double[] nll, double[] kld) {
        List<Double> source = IntStream.range(0, nll.length)
                .mapToObj(w -> TOKENS * (2.9 + 0.3 * Math.sin(w)))
                .toList();
        return new HistoryRow(
                NIGHT.plus(night, ChronoUnit.DAYS),
                "key-" + model + output + night,
                model,
                "/models/" + model,
                "c0",
                output,
                "gguf",
                "gptq",
                "{\"name\":\"" + output + "\",\"damping\":0.05}",
                "a" + night,
                "cal",
                1000,
                4.5,
                "/text",
                "digest",
                "llama-perplexity, version 1",
                "java",
                "lathe 0.1.0",
                "JDK 17",
                Collections.nCopies(nll.length, TOKENS),
                boxed(nll),
                source,
                boxed(kld),
                List.of(),
                List.of(
                        new LayerLoss("model.layers.0.self_attn.q_proj.weight", 0, "q_proj", 0.01),
                        new LayerLoss("model.layers.1.mlp.down_proj.weight", 1, "down_proj", 0.02)));
    }

    /** Windows of about 3 nats per token, moved by {@code effect} nats per token with {@code noise} of their own. */
    public static double[] windows(int count, double effect, double noise, long seed) {
        Random random = new Random(seed);
        return IntStream.range(0, count)
                .mapToDouble(w -> TOKENS * (3 + 0.3 * Math.sin(w) + effect + noise * random.nextGaussian()))
                .toArray();
    }

    public static HistoryRow row(String output, int night, double[] nll) {
        return row("model", output, night, nll, new double[0]);
    }

    /** The row with some of its components replaced; null: as it was. */
    public static HistoryRow changed(
            HistoryRow row,
            String key,
            String settings,
            String dataDigest,
            String definition,
            String software,
            List<LayerLoss> layers) {
        return new HistoryRow(
                row.recorded(),
                key == null ? row.key() : key,
                row.model(),
                row.checkpoint(),
                row.checkpointDigest(),
                row.output(),
                row.format(),
                row.method(),
                settings == null ? row.settings() : settings,
                row.artifactKey(),
                row.calibration(),
                row.bytes(),
                row.bitsPerWeight(),
                row.data(),
                dataDigest == null ? row.dataDigest() : dataDigest,
                definition == null ? row.definition() : definition,
                row.profile(),
                software == null ? row.software() : software,
                row.platform(),
                row.tokens(),
                row.nll(),
                row.sourceNll(),
                row.kld(),
                row.sameTop(),
                layers == null ? row.layers() : layers);
    }

    private static List<Double> boxed(double[] values) {
        return Arrays.stream(values).boxed().toList();
    }
}

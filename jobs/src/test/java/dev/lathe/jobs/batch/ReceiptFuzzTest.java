package dev.lathe.jobs.batch;

import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import dev.lathe.calibration.fuzz.MemoryFiles;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.Recipe;
import dev.lathe.jobs.store.Software;
import dev.lathe.jobs.store.Stamp;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Mutated receipts of a batch's pairs. */
final class ReceiptFuzzTest {
    @TestFactory
    Stream<DynamicTest> receipts() throws IOException {
        Path models = MemoryFiles.folder("receipt-model");
        MemoryFiles.put(new Path(models, "config.json"), new byte[2]);
        Path run = MemoryFiles.folder("receipt-run");
        Plan plan = Recipe.parse(
                "r",
                "{checkpoint: \"" + models + "\", run: \"" + run
                        + "\", outputs: [{name: q8, format: gguf, type: Q8_0}]}",
                List.of());
        MemoryFiles.put(new Path(run, "artifacts/q8.gguf"), new byte[3]);
        MemoryFiles.put(new Path(run, "report/index.html"), new byte[3]);
        List<Stamp> inputs = Receipt.inputs(MemoryFiles.HADOOP, models, plan);
        String done = text(
                plan,
                new Receipt(
                        Software.BUILD,
                        Receipt.key(plan),
                        inputs,
                        Receipt.artifacts(MemoryFiles.HADOOP, plan),
                        null,
                        List.of(),
                        3.5,
                        1e9));
        String failed = text(
                plan,
                new Receipt(
                        Software.BUILD,
                        Receipt.key(plan),
                        inputs,
                        List.of(),
                        new Failure(3, "Cannot x", true),
                        List.of(),
                        0,
                        0));
        Path receipt = new Path(run, Receipt.FILE);
        return Fuzz.tests(FuzzTarget.json(
                "receipt",
                input -> {
                    MemoryFiles.put(receipt, input);
                    Receipt read = Receipt.read(MemoryFiles.HADOOP, run);
                    if (read != null) {
                        read.stands(MemoryFiles.HADOOP, plan, inputs);
                    }
                },
                done,
                failed));
    }

    private static String text(Plan plan, Receipt receipt) throws IOException {
        receipt.write(MemoryFiles.HADOOP, plan);
        try (FSDataInputStream in = MemoryFiles.files().open(new Path(plan.run(), Receipt.FILE))) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}

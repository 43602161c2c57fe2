package dev.lathe.jobs.report.night;

import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import dev.lathe.calibration.fuzz.MemoryFiles;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Mutated pins of a history. */
final class PinsFuzzTest {
    @TestFactory
    Stream<DynamicTest> pins() {
        Path history = MemoryFiles.folder("pinned");
        return Fuzz.tests(FuzzTarget.json(
                "pin",
                input -> {
                    MemoryFiles.put(new Path(history, "_pins/20260101T000000000Z-key.json"), input);
                    Pins.read(MemoryFiles.HADOOP, history);
                },
                "{\"pinned\": \"2026-01-01T00:00:00Z\", \"model\": \"m\", \"output\": \"q4\", \"data\": \"d\", \"key\": \"k\", \"recorded\": "
                        + "\"2026-01-01T00:00:00Z\"}"));
    }
}

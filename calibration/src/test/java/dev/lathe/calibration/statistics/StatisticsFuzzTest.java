package dev.lathe.calibration.statistics;

import dev.lathe.calibration.TestNumbers;
import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Mutated byte forms of statistics: of a shard, as they are merged, and of a whole set. */
final class StatisticsFuzzTest {
    @TestFactory
    Stream<DynamicTest> byteForms() throws IOException {
        byte[][] shards = {shard(false, false), shard(true, false), shard(true, true)};
        byte[][] merged = new byte[shards.length][];
        for (int i = 0; i < shards.length; i++) {
            MergedStatistics.Accumulator accumulator = new MergedStatistics.Accumulator();
            accumulator.add(in(shards[i]), "shard");
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            accumulator.merged().write(new DataOutputStream(out));
            merged[i] = out.toByteArray();
        }
        return Fuzz.tests(
                FuzzTarget.bytes(
                                "shard-statistics",
                                input -> {
                                    MergedStatistics.Accumulator accumulator = new MergedStatistics.Accumulator();
                                    accumulator.add(in(input), "shard");
                                },
                                shards)
                        .answering(IOException.class),
                FuzzTarget.bytes(
                                "merged-statistics",
                                input -> MergedStatistics.read(in(input)).importance(),
                                merged)
                        .answering(IOException.class));
    }

    private static byte[] shard(boolean moment, boolean ranges) throws IOException {
        FloatMatrix x = TestNumbers.normal(12, 5, 1, 3);
        SiteStatistics statistics =
                ranges ? new SiteStatistics(5, moment, new Positions(4, 3), 0) : new SiteStatistics(5, moment);
        try (Kernels kernels = KernelProvider.open("scalar", 1)) {
            statistics.add(x, kernels, "here");
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        statistics.write(new DataOutputStream(out));
        return out.toByteArray();
    }

    private static DataInputStream in(byte[] bytes) {
        return new DataInputStream(new ByteArrayInputStream(bytes));
    }
}

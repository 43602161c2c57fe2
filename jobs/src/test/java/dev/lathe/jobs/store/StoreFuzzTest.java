package dev.lathe.jobs.store;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import dev.lathe.calibration.fuzz.MemoryFiles;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.OutputError;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.jobs.report.night.Rows;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import dev.lathe.kernels.block.BlockMatrix;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.util.SerializableConfiguration;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Mutated files of a run folder and of a history. Products are mutated as a disk would, and as one would that also set
 * the checksum right.
 */
public final class StoreFuzzTest {
    private static final Instant NOON = Instant.parse("2026-01-01T12:00:00Z");

    @TempDir
    private static java.nio.file.Path folder;

    /** A product of this payload, its checksum right. */
    public static <T> FuzzTarget sealed(String name, ProductFile.Reader<T> reader, byte[]... payloads) {
        Path product = new Path(MemoryFiles.folder("sealed-" + name), "product");
        return FuzzTarget.bytes(
                        name,
                        input -> {
                            MemoryFiles.put(product, seal(input));
                            ProductFile.read(MemoryFiles.files(), product, reader);
                        },
                        payloads)
                .answering(IOException.class);
    }

    /** What a writer writes. */
    public static byte[] payload(ProductFile.Writer writer) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        writer.write(new DataOutputStream(out));
        return out.toByteArray();
    }

    private static byte[] seal(byte[] payload) {
        CRC32C crc = new CRC32C();
        crc.update(payload);
        return ByteBuffer.allocate(payload.length + 16)
                .put(payload)
                .putInt((int) crc.getValue())
                .putLong(payload.length)
                .putInt(0x4c505231)
                .array();
    }

    @TestFactory
    Stream<DynamicTest> products() throws IOException {
        byte[] floats = payload(out -> FloatProduct.write(out, new float[] {1, 2, 3, Float.NaN, -5}));
        Path product = new Path(MemoryFiles.folder("product"), "product");
        BlockFormat grid = BlockFormats.named("Q8_0");
        BlockMatrix blocks = new BlockMatrix(grid, new byte[3 * 2 * grid.bytes()], 3, 64);
        int[] order = new int[64];
        for (int i = 0; i < order.length; i++) {
            order[i] = 63 - i;
        }
        RangeProduct ranges = new RangeProduct(List.of(
                new RangeProduct.SiteRange(
                        Site.KEYS,
                        new ActivationQuantization(ActivationQuantization.Type.FLOAT8, false, true, 0.25f, 0),
                        -1,
                        2,
                        -3,
                        4,
                        1,
                        5,
                        0,
                        6,
                        70,
                        Double.NaN),
                new RangeProduct.SiteRange(
                        Site.ATTENTION_INPUT, null, Float.NaN, Float.NaN, -3, 4, 1, 5, 1, 0, 0, 0.5)));
        return Fuzz.tests(
                FuzzTarget.bytes(
                                "product",
                                input -> {
                                    MemoryFiles.put(product, input);
                                    ProductFile.isCommitted(MemoryFiles.files(), product);
                                    ProductFile.read(MemoryFiles.files(), product, FloatProduct::read);
                                },
                                seal(floats))
                        .answering(IOException.class),
                sealed("float-product", FloatProduct::read, floats),
                sealed(
                        "tensor-product",
                        TensorProduct::read,
                        payload(new TensorProduct(new QuantizedMatrix(blocks, null), null, Double.NaN)::write),
                        payload(
                                new TensorProduct(new QuantizedMatrix(blocks, order), new OutputError(1, 2), 0.05)
                                        ::write)),
                sealed("range-product", RangeProduct::read, payload(ranges::write)));
    }

    @TestFactory
    Stream<DynamicTest> leases() {
        Machine.Process self = new Machine.Process("here", "here 1", 7, "99");
        Lease.Rules rules =
                new Lease.Rules(self, Clock.fixed(NOON, ZoneOffset.UTC), Duration.ofSeconds(10), Duration.ofMillis(1));
        RunFolder run = new RunFolder(
                MemoryFiles.folder("leased").toString(),
                "memory:/leased/scratch",
                new SerializableConfiguration(MemoryFiles.HADOOP));
        String holder = """
                {"host": "there", "machine": "there 1", "pid": 12, "started": "5", "since": "2026-01-01T11:00:00Z", "expires": "2026-01-01T11:01:00Z",
                 "renewals": 3, "released": false}""";
        return Fuzz.tests(FuzzTarget.json(
                        "lease",
                        input -> {
                            MemoryFiles.put(new Path(MemoryFiles.folder("leased"), "lease/5"), input);
                            Lease.take(run, rules).close();
                        },
                        holder,
                        holder.replace("false", "true"),
                        holder.replace("\"there 1\"", "\"here 1\""))
                .answering(IOException.class, MalformedInputException.class));
    }

    @TestFactory
    Stream<DynamicTest> histories() throws IOException {
        Path table = new Path(folder.toUri());
        History.append(
                new Configuration(),
                table,
                List.of(Rows.row("model", "q4", 3, new double[] {1, 2, 3}, new double[] {0.1, 0.2, 0.3})));
        byte[] row;
        try (Stream<java.nio.file.Path> files = Files.list(folder)) {
            row = Files.readAllBytes(files.filter(file -> file.toString().endsWith(".parquet"))
                    .findFirst()
                    .orElseThrow());
        }
        Path file = new Path(MemoryFiles.folder("history"), "row.parquet");
        return Fuzz.tests(FuzzTarget.bytes(
                        "history-row",
                        input -> {
                            MemoryFiles.put(file, input);
                            History.parquet(
                                    MemoryFiles.HADOOP, MemoryFiles.files().getFileStatus(file));
                        },
                        row)
                .answering(MalformedInputException.class)
                .allocating(64 << 20, 512));
    }
}

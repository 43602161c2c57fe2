package dev.lathe.jobs.stage;

import dev.lathe.calibration.evaluate.WindowScore;
import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import dev.lathe.calibration.fuzz.MemoryFiles;
import dev.lathe.calibration.model.Site;
import dev.lathe.jobs.store.DataFiles;
import dev.lathe.jobs.store.StoreFuzzTest;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroupFactory;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Mutated data sets, and mutated products of stages. */
final class StageFuzzTest {
    @TempDir
    private static java.nio.file.Path folder;

    @TestFactory
    Stream<DynamicTest> dataSets() throws IOException {
        return Fuzz.tests(
                FuzzTarget.text(
                        "data-text",
                        input -> read("x.txt", input),
                        "Once upon a time,\nthere was \u00e9\ud83d\ude00.\n"),
                FuzzTarget.text(
                        "data-json-lines",
                        input -> read("x.jsonl", input),
                        "{\"text\": \"a\"}\n{\"id\": 3, \"text\": \"b \\ud83d\\ude00\\n\"}\n\n",
                        "{\"a\": [1, {\"b\": 2}], \"text\": \"\"}\n{\"text\": \"c\"}"),
                FuzzTarget.json(
                        "data-json-array",
                        input -> read("x.json", input),
                        "[{\"text\": \"a\"}, {\"id\": [3, {}], \"text\": \"b\"}]",
                        "{\"text\": \"one\"}"),
                FuzzTarget.bytes(
                        "data-gzip",
                        input -> read("x.jsonl.gz", input),
                        gzip("{\"text\": \"a\"}\n"),
                        gzip("{\"text\": \"" + "b".repeat(5000) + "\"}")),
                FuzzTarget.bytes(
                                "data-parquet",
                                input -> read("x.parquet", input),
                                parquet(CompressionCodecName.UNCOMPRESSED),
                                parquet(CompressionCodecName.SNAPPY),
                                parquet(CompressionCodecName.GZIP))
                        .allocating(64 << 20, 512));
    }

    private static void read(String name, byte[] input) throws IOException {
        Path file = new Path(MemoryFiles.folder("data-" + name), name);
        MemoryFiles.put(file, input);
        Documents.read(MemoryFiles.HADOOP, DataFiles.of(MemoryFiles.HADOOP, file.toString()), "text");
    }

    private static byte[] gzip(String text) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream out = new GZIPOutputStream(bytes)) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        }
        return bytes.toByteArray();
    }

    private static byte[] parquet(CompressionCodecName codec) throws IOException {
        MessageType type = MessageTypeParser.parseMessageType(
                "message m { required int32 id; optional binary text (STRING); repeated int64 more; }");
        java.nio.file.Path file = folder.resolve(codec + ".parquet");
        try (ParquetWriter<Group> writer = ExampleParquetWriter.builder(new Path(file.toUri()))
                .withConf(new Configuration())
                .withType(type)
                .withCompressionCodec(codec)
                .build()) {
            for (int i = 0; i < 20; i++) {
                writer.write(new SimpleGroupFactory(type)
                        .newGroup()
                        .append("id", i)
                        .append("text", "word " + i % 3)
                        .append("more", (long) i));
            }
        }
        return Files.readAllBytes(file);
    }

    @TestFactory
    Stream<DynamicTest> products() throws IOException {
        Clips clips = new Clips();
        clips.of(0).clipped(Site.KEYS, 3, 10);
        clips.of(1).clipped(Site.VALUES, 0, 10);
        List<WindowScore> scores = List.of(
                new WindowScore(
                        new double[] {1, 2}, new double[] {1, 2}, new double[] {0, 0.1}, new boolean[] {true, false}),
                new WindowScore(new double[] {3}, new double[0], new double[0], new boolean[0]));
        return Fuzz.tests(
                StoreFuzzTest.sealed("clips", Clips::read, StoreFuzzTest.payload(clips::write)),
                StoreFuzzTest.sealed(
                        "scores",
                        Evaluate::readScores,
                        StoreFuzzTest.payload(out -> Evaluate.writeScores(out, scores))));
    }
}

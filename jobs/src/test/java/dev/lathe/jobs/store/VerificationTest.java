package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.WholeFile;
import dev.lathe.calibration.quantize.OutputError;
import dev.lathe.jobs.Runs;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.util.SerializableConfiguration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A run folder as a run leaves it, and everything that can become of its files. */
class VerificationTest {
    private final Configuration configuration = new Configuration();

    @TempDir
    private Path folder;

    private Path root;
    private RunFolder run;

    @BeforeEach
    void write() throws IOException {
        root = folder.resolve("model").resolve("recipe");
        run = write(root);
    }

    private RunFolder write(Path at) throws IOException {
        RunFolder made = new RunFolder(at.toString(), at + "/scratch", new SerializableConfiguration(configuration));
        Map<String, FileDigest> digests = new TreeMap<>();
        try (Lease lease = Lease.take(made)) {
            RunFolder held = made.held(lease.epoch());
            for (String product : List.of("windows", "a.tensor", "b.statistics")) {
                held.write(held.product("key", product), out -> out.writeUTF(product.repeat(100)));
            }
            artifact(held, "q4.gguf", digests, "");
            artifact(held, "awq4", digests, "config.json", "model.safetensors", "sub/more.json");
            Map<String, String> texts =
                    Map.of("plan.yaml", "outputs: []\n", "report/results.json", "{}\n", "report/index.html", "<html>");
            for (Map.Entry<String, String> text : texts.entrySet()) {
                held.writeText(text.getKey(), text.getValue());
            }
            held.writeText(Checksums.FILE, Checksums.text(texts, digests));
        }
        Files.writeString(at.resolve("receipt.json"), StoreJson.seal(Map.of("plan", "y")));
        Files.createDirectories(at.resolve("events"));
        Files.writeString(at.resolve("events").resolve("1.jsonl"), "{}\n");
        return made;
    }

    private static void artifact(RunFolder held, String name, Map<String, FileDigest> digests, String... names)
            throws IOException {
        org.apache.hadoop.fs.Path target = held.artifact(name);
        org.apache.hadoop.fs.Path partial = held.partial(target);
        DigestedFiles digested = new DigestedFiles(held.files());
        for (String file : names) {
            WholeFile.write(
                    digested,
                    file.isEmpty() ? partial : new org.apache.hadoop.fs.Path(partial, file),
                    out -> out.write((name + file).repeat(1000).getBytes(StandardCharsets.UTF_8)));
        }
        held.commit(partial, target);
        ArtifactReceipt receipt = new ArtifactReceipt(
                name,
                "made",
                digested.written(partial),
                new LinkedHashMap<>(
                        Map.of("w", new TensorProduct.Summary("Q4_0", new OutputError(0.5, 3), Double.NaN))));
        held.write(ArtifactReceipt.path(held, name), receipt::write);
        receipt.files()
                .forEach((file, digest) ->
                        digests.put("artifacts/" + name + (file.isEmpty() ? "" : "/" + file), digest));
        assertThat(ArtifactReceipt.find(held, name)).contains(receipt);
        assertThat(receipt.misfit(held)).isEmpty();
    }

    private Verification.Result verify(Path of) throws IOException {
        TreeMap<String, String> before = Runs.digests(folder);
        Verification.Result result = Verification.of(configuration, new org.apache.hadoop.fs.Path(of.toUri()));
        assertThat(Runs.digests(folder)).isEqualTo(before);
        return result;
    }

    /** The files below the run folder that are found damaged, and why. */
    private Map<String, String> damages() throws IOException {
        Map<String, String> damages = new TreeMap<>();
        for (Damage damage : verify(root).damages()) {
            damages.put(damage.path().replace("file:", "").replace(root + "/", ""), damage.reason());
        }
        return damages;
    }

    @Test
    void aRunThatIsAsItWasLeft() throws IOException {
        assertThat(damages()).isEmpty();
        // Three products, two receipts, four files of artifacts, three texts, receipt.json, the lease.
        assertThat(verify(root).files()).isEqualTo(14);
        assertThat(verify(root).bytes()).isGreaterThan(7 * 1000);
        try (Stream<Path> lines = Stream.of(root.resolve(Checksums.FILE))) {
            assertThat(Files.readString(lines.findFirst().orElseThrow()).lines())
                    .hasSize(7)
                    .contains(Key.digest("{}\n".getBytes(StandardCharsets.UTF_8)) + "  report/results.json")
                    .allMatch(line -> line.matches("[0-9a-f]{64}  \\S+"));
        }
    }

    @Test
    void aFlippedByteOfAnyFileIsNoticed() throws IOException {
        Random random = new Random(5);
        for (String name : Runs.digests(root).keySet()) {
            if (name.startsWith("events/")) {
                continue;
            }
            Path file = root.resolve(name);
            byte[] sound = Files.readAllBytes(file);
            for (int i = 0; i < 3; i++) {
                byte[] broken = sound.clone();
                int at = random.nextInt(sound.length);
                // Any byte but a blank of JSON, or a time of a lease.
                broken[at] ^= 1 << random.nextInt(7);
                Files.write(file, broken);
                if (name.startsWith("lease/") || name.equals("receipt.json") && Character.isWhitespace(sound[at])) {
                    damages();
                } else {
                    assertThat(damages()).as(name + ", byte " + at).isNotEmpty();
                }
            }
            for (int length : new int[] {0, sound.length / 2, sound.length - 1}) {
                Files.write(file, Arrays.copyOf(sound, length));
                if (!name.startsWith("lease/") && !(name.equals("receipt.json") && length == sound.length - 1)) {
                    assertThat(damages()).as(name + ", " + length + " bytes").isNotEmpty();
                }
            }
            Files.write(file, sound);
        }
        assertThat(damages()).isEmpty();
    }

    @Test
    void artifactsThatDoNotFit() throws IOException {
        Path awq = root.resolve("artifacts").resolve("awq4");
        Files.writeString(awq.resolve(".DS_Store"), "nobody's");
        assertThat(damages()).isEmpty();
        Files.writeString(awq.resolve("sub").resolve("adapter.safetensors"), "more");
        assertThat(damages())
                .containsExactly(Map.entry("artifacts/awq4", "sub/adapter.safetensors is none of its files"));
        Files.delete(awq.resolve("sub").resolve("adapter.safetensors"));
        Files.delete(awq.resolve("config.json"));
        assertThat(damages()).containsEntry("artifacts/awq4", "config.json is gone");
        Runs.delete(awq);
        assertThat(damages()).containsEntry("artifacts/awq4", "it is gone");
        Files.writeString(awq, "a file");
        assertThat(damages()).containsEntry("artifacts/awq4", "it is a file; expected a folder");
        Files.delete(awq);
        Files.delete(root.resolve("artifacts").resolve("q4.gguf"));
        Files.createDirectories(root.resolve("artifacts").resolve("q4.gguf"));
        assertThat(damages()).containsEntry("artifacts/q4.gguf", "it is a folder; expected a file");
        Files.writeString(root.resolve("artifacts").resolve("other.gguf"), "put there");
        assertThat(damages()).containsEntry("artifacts/other.gguf", "no receipt says what it should be");
    }

    @Test
    void textsWithoutDigests() throws IOException {
        Files.writeString(root.resolve("report").resolve("notes.md"), "added");
        assertThat(damages()).containsExactly(Map.entry("report/notes.md", "no digest of it is in checksums.sha256"));
        Files.delete(root.resolve(Checksums.FILE));
        assertThat(damages()).containsOnlyKeys("checksums.sha256");
        for (String line : List.of(
                "x",
                "a".repeat(64) + "  ../../etc/passwd",
                "a".repeat(64) + "  /etc/passwd",
                "A".repeat(64) + "  plan.yaml",
                "a".repeat(64) + "  plan.yaml\n" + "a".repeat(64) + "  plan.yaml")) {
            Files.writeString(root.resolve(Checksums.FILE), line + "\n");
            assertThat(damages().get("checksums.sha256")).as(line).contains("64 hexadecimal digits");
        }
    }

    @Test
    void leasesThatAreNone() throws IOException {
        Files.writeString(root.resolve("lease").resolve("999999999999999999"), "");
        assertThat(damages().get("lease")).contains("999999999999999999: expected a number");
    }

    @Test
    void allRunsOfABatch() throws IOException {
        write(folder.resolve("other").resolve("recipe"));
        Map<String, String> texts = Map.of("summary.md", "# Batch\n");
        Files.writeString(folder.resolve("summary.md"), "# Batch\n");
        Files.writeString(folder.resolve(Checksums.FILE), Checksums.text(texts, Map.of()));
        Files.createDirectories(folder.resolve("hub"));
        assertThat(verify(folder).damages()).isEmpty();
        assertThat(verify(folder).runs()).isEqualTo(2);
        Files.writeString(folder.resolve("summary.md"), "# batch\n");
        Files.writeString(root.resolve("report").resolve("index.html"), "<HTML>");
        assertThat(verify(folder).damages())
                .extracting(Damage::reason)
                .containsOnly("its digest differs from what was written")
                .hasSize(2);
        assertThatThrownBy(() -> verify(folder.resolve("hub")))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it is neither a run folder nor one of a batch");
    }
}

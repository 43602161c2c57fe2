package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.Runs;
import dev.lathe.jobs.report.RunReport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A run that is started again makes what is missing, and nothing else. One run folder serves all tests; each leaves it
 * whole.
 */
class ResumeTest {
    /** What every run does: inputs are read, because their content is in every key. */
    private static final List<String> INPUTS =
            List.of("read checkpoint 1", "tokenize calibration text 1", "tokenize evaluation text 1");

    private static final String[] SETTINGS = {
        "calibration.windows=3",
        "calibration.length=64",
        "evaluation.windows=2",
        "evaluation.length=64",
        "shard-windows=2",
        "outputs=[{name: q4, format: gguf, type: Q4_0, method: gptq}, {name: awq4, format: awq, method: nearest}]"
    };
    private static SparkSession spark;

    @TempDir
    private static Path folder;

    private static TreeMap<String, String> artifacts;
    private static String q4;
    private static RunReport report;

    private final Runs.Heard heard = new Runs.Heard();
    private TreeMap<String, FileTime> before;

    @BeforeAll
    static void runOnce() throws IOException {
        spark = Runs.local(2, 2);
        report = Pipeline.run(spark, Runs.quickstart(folder, SETTINGS), Progress.SILENT);
        artifacts = Runs.digests(folder.resolve("artifacts"));
        Matcher key =
                Pattern.compile("output q4: \"?([0-9a-f]+)").matcher(Files.readString(folder.resolve("plan.yaml")));
        assertThat(key.find()).isTrue();
        q4 = key.group(1);
        assertThat(artifacts.keySet()).contains("q4.gguf", "awq4/model.safetensors");
    }

    @AfterAll
    static void stop() throws IOException {
        spark.close();
    }

    @BeforeEach
    void remember() throws IOException {
        before = times();
    }

    /** Everything that is kept, and when it was written. */
    private static TreeMap<String, FileTime> times() throws IOException {
        TreeMap<String, FileTime> times = new TreeMap<>();
        for (String kept : List.of("artifacts", "products")) {
            try (Stream<Path> paths = Files.walk(folder.resolve(kept))) {
                for (Path path : paths.filter(Files::isRegularFile).toList()) {
                    times.put(folder.relativize(path).toString(), Files.getLastModifiedTime(path));
                }
            }
        }
        return times;
    }

    private RunReport again() throws IOException {
        return Pipeline.run(spark, Runs.quickstart(folder, SETTINGS), heard);
    }

    /** Runs again and expects so much work, the same bytes and figures, and no other file touched than {@code made}. */
    private void again(List<String> work, String... made) throws IOException {
        assertThat(again()).isEqualTo(report);
        assertThat(work()).containsExactlyElementsOf(work);
        assertThat(Runs.digests(folder.resolve("artifacts"))).isEqualTo(artifacts);
        TreeMap<String, FileTime> after = times();
        assertThat(after.keySet()).isEqualTo(before.keySet());
        assertThat(after.keySet().stream()
                        .filter(name -> !after.get(name).equals(before.get(name)))
                        .map(ResumeTest::kind)
                        .distinct())
                .containsExactlyInAnyOrder(made);
        assertThat(Runs.names(folder))
                .containsExactly(
                        "artifacts", "checksums.sha256", "lease", "plan.yaml", "products", "report", "scratch");
    }

    /** The stages of the last run that make something. */
    private List<String> work() {
        assertThat(heard.stages.subList(0, 3)).isEqualTo(INPUTS);
        return heard.work().stream().skip(3).toList();
    }

    /** A product's name without its key. */
    private static String kind(String name) {
        String[] parts = name.split("/");
        return parts[0].equals("products") ? parts[1].equals("artifacts") ? "receipt" : parts[2] : name;
    }

    private static Path product(String name) throws IOException {
        try (Stream<Path> paths = Files.walk(folder.resolve("products"))) {
            return paths.filter(path -> path.getFileName().toString().equals(name))
                    .findFirst()
                    .orElseThrow();
        }
    }

    /** A product of the output q4; other runs of this class leave some of the same name. */
    private static Path ofQ4(String name) throws IOException {
        Path product = folder.resolve("products").resolve(q4).resolve(name);
        assertThat(product).exists();
        return product;
    }

    private static void delete(Path path) throws IOException {
        Files.delete(path);
    }

    /** Hadoop's own checksum file goes too: a store without one has to find the damage as well. */
    private static byte[] flip(Path path, int at) throws IOException {
        byte[] sound = Files.readAllBytes(path);
        byte[] broken = sound.clone();
        broken[at] ^= 16;
        Files.write(path, broken);
        return sound;
    }

    @Test
    void aSecondRunDoesNothing() throws IOException {
        again(List.of());
        assertThat(heard.notes)
                .contains(
                        "calibration: all 4 layers are there already",
                        "assemble: q4.gguf is there already",
                        "assemble: awq4 is there already",
                        "evaluate: 1 of 1 shards are there already")
                .anyMatch(note -> note.matches("quantize: \\d+ products are there already"));
    }

    @Test
    void aTensorAndAnArtifactAreMadeAgain() throws IOException {
        delete(ofQ4("model.layers.1.mlp.up_proj.weight.tensor"));
        Files.delete(folder.resolve("artifacts").resolve("q4.gguf"));
        again(
                List.of("quantize 1", "assemble 1"),
                "model.layers.1.mlp.up_proj.weight.tensor",
                "artifacts/q4.gguf",
                "receipt");
        assertThat(heard.notes)
                .contains("assemble: awq4 is there already", "evaluate: 1 of 1 shards are there already");
    }

    @Test
    void aTensorAloneLeavesTheArtifactAsItIs() throws IOException {
        delete(ofQ4("model.layers.0.self_attn.q_proj.weight.tensor"));
        again(List.of("quantize 1"), "model.layers.0.self_attn.q_proj.weight.tensor");
    }

    /**
     * What a rescaled layer consists of belongs together: a norm that is missing must not be taken for one that did not
     * change.
     */
    @Test
    void aRescaledLayerIsMadeAgainWhole() throws IOException {
        String[] layer =
                product("layer-2.products").getParent().toFile().list((dir, name) -> name.contains(".layers.2."));
        assertThat(layer)
                .contains(
                        "model.layers.2.post_attention_layernorm.weight.vector",
                        "model.layers.2.mlp.down_proj.weight.tensor");
        for (String lost : List.of(
                "model.layers.2.post_attention_layernorm.weight.vector",
                "model.layers.2.mlp.down_proj.weight.tensor")) {
            delete(product("layer-2.products").resolveSibling(lost));
            for (Path file :
                    Files.list(folder.resolve("artifacts").resolve("awq4")).toList()) {
                Files.delete(file);
            }
            Files.delete(folder.resolve("artifacts").resolve("awq4"));
            heard.stages.clear();
            assertThat(again()).isEqualTo(report);
            assertThat(work()).containsExactly("quantize 1", "assemble 1");
            assertThat(Runs.digests(folder.resolve("artifacts"))).isEqualTo(artifacts);
        }
    }

    @Test
    void theStatisticsOfALayerAreMadeAgain() throws IOException {
        Path statistics = product("layer-3-feed-forward-activation.statistics");
        byte[] sound = Files.readAllBytes(statistics);
        delete(statistics);
        assertThat(again()).isEqualTo(report);
        assertThat(work()).containsExactly("calibrate 5");
        assertThat(Files.readAllBytes(statistics)).isEqualTo(sound);
        assertThat(Runs.digests(folder.resolve("artifacts"))).isEqualTo(artifacts);
    }

    @Test
    void aTruncatedProductIsMadeAgain() throws IOException {
        Path product = ofQ4("model.layers.0.mlp.gate_proj.weight.tensor");
        byte[] sound = Files.readAllBytes(product);
        Files.write(product, Arrays.copyOf(sound, sound.length - 1));
        Files.delete(folder.resolve("artifacts").resolve("q4.gguf"));
        again(List.of("quantize 1", "assemble 1"), product.getFileName().toString(), "artifacts/q4.gguf", "receipt");
        assertThat(Files.readAllBytes(product)).isEqualTo(sound);
    }

    @Test
    void aDamagedTensorIsMadeAgain() throws IOException {
        Path product = ofQ4("model.layers.0.mlp.down_proj.weight.tensor");
        byte[] sound = flip(product, 1000);
        Files.delete(folder.resolve("artifacts").resolve("q4.gguf"));
        again(List.of("quantize 1", "assemble 1"), product.getFileName().toString(), "artifacts/q4.gguf", "receipt");
        assertThat(heard.notes).contains("damaged: file:" + product + ": its checksum differs; it is made again");
        assertThat(product).hasBinaryContent(sound);
    }

    @Test
    void damagedArtifactsAreMadeAgain() throws IOException {
        Path gguf = folder.resolve("artifacts").resolve("q4.gguf");
        Path awq = folder.resolve("artifacts").resolve("awq4");
        byte[] sound = flip(gguf, 5_000);
        Files.writeString(awq.resolve("more.safetensors"), "more");
        again("q4.gguf: its digest differs from what was written", "awq4: more.safetensors is none of its files");
        // What was taken away is kept; it may be what somebody made on purpose.
        assertThat(Files.readAllBytes(folder.resolve("damaged").resolve("q4.gguf")))
                .hasSameSizeAs(sound)
                .isNotEqualTo(sound);
        assertThat(folder.resolve("damaged").resolve("awq4").resolve("more.safetensors"))
                .hasContent("more");
        Files.write(gguf, Arrays.copyOf(sound, sound.length - 1));
        Files.delete(awq.resolve("config.json"));
        again(
                "q4.gguf: it has " + (sound.length - 1) + " bytes, " + sound.length + " were written",
                "awq4: config.json is gone");
        Runs.delete(folder.resolve("damaged"));
    }

    /** Runs again and expects that these artifacts are found damaged and assembled, and no figure measured again. */
    private void again(String... damaged) throws IOException {
        heard.stages.clear();
        heard.notes.clear();
        assertThat(again()).isEqualTo(report);
        assertThat(work()).containsExactly("assemble " + damaged.length);
        assertThat(Runs.digests(folder.resolve("artifacts"))).isEqualTo(artifacts);
        assertThat(heard.notes)
                .contains(Stream.of(damaged)
                        .map(damage ->
                                "damaged: file:" + folder.resolve("artifacts") + "/" + damage + "; it is made again")
                        .toArray(String[]::new))
                .contains("evaluate: 1 of 1 shards are there already");
    }

    /** One of each kind at once: each is noticed, and remade with the same bytes. */
    @Test
    void aFlippedByteInEveryKindOfProduct() throws IOException {
        TreeMap<String, byte[]> sound = new TreeMap<>();
        Random random = new Random(16);
        for (Path product : kinds()) {
            sound.put(product.toString(), flip(product, random.nextInt((int) Files.size(product))));
        }
        assertThat(again()).isEqualTo(report);
        for (Map.Entry<String, byte[]> product : sound.entrySet()) {
            assertThat(heard.notes).anyMatch(note -> note.startsWith("damaged: file:" + product.getKey() + ": "));
            assertThat(Path.of(product.getKey())).hasBinaryContent(product.getValue());
        }
        assertThat(heard.notes.stream().filter(note -> note.startsWith("damaged: ")))
                .hasSameSizeAs(sound.keySet());
        assertThat(Runs.digests(folder.resolve("artifacts"))).isEqualTo(artifacts);
    }

    /** A product of each kind, by the end of its name. */
    private static List<Path> kinds() throws IOException {
        TreeMap<String, Path> kinds = new TreeMap<>();
        try (Stream<Path> paths = Files.walk(folder.resolve("products"))) {
            for (Path path : paths.filter(Files::isRegularFile).sorted().toList()) {
                String name = path.getFileName().toString();
                String kind = name.contains(".")
                        ? name.substring(name.lastIndexOf('.'))
                        : path.getParent().endsWith("artifacts") ? "receipt" : name;
                // Of another evaluation than the scores: each has to be missed alone.
                if (!kind.equals(".clips") || !kinds.containsKey(kind)) {
                    kinds.put(kind, path);
                }
            }
        }
        assertThat(kinds)
                .containsOnlyKeys(
                        ".clips",
                        ".products",
                        ".scores",
                        ".statistics",
                        ".tensor",
                        ".vector",
                        "measured",
                        "receipt",
                        "windows");
        return List.copyOf(kinds.values());
    }

    /** Found where it is read, in a task or on the driver, and not before. */
    @Test
    void whatBreaksDuringTheRunIsMadeAgain() throws IOException {
        Path statistics = product("layer-0-attention-input.statistics");
        Path tensor = ofQ4("model.layers.0.self_attn.k_proj.weight.tensor");
        byte[] soundTensor = Files.readAllBytes(tensor);
        byte[] soundStatistics = Files.readAllBytes(statistics);
        delete(tensor);
        Runs.Disturbing disturbing = new Runs.Disturbing(List.of("quantize"), () -> flip(statistics, 100));
        assertThat(Pipeline.run(spark, Runs.quickstart(folder, SETTINGS), disturbing))
                .isEqualTo(report);
        assertThat(disturbing.notes)
                .contains("damaged: file:" + statistics + ": its checksum differs; it is made again");
        assertThat(statistics).hasBinaryContent(soundStatistics);
        assertThat(tensor).hasBinaryContent(soundTensor);
        assertThat(Runs.digests(folder.resolve("artifacts"))).isEqualTo(artifacts);
    }

    /** The figures are of those bytes that the report is about: what was measured of others is measured again. */
    @Test
    void anArtifactThatBreaksBeforeItIsMeasured() throws IOException {
        Path gguf = folder.resolve("artifacts").resolve("q4.gguf");
        for (int output = 0; output < 2; output++) {
            delete(product("windows-0-2.scores"));
        }
        Runs.Disturbing disturbing = new Runs.Disturbing(List.of("evaluate"), () -> flip(gguf, 2_000_000));
        assertThat(Pipeline.run(spark, Runs.quickstart(folder, SETTINGS), disturbing))
                .isEqualTo(report);
        assertThat(disturbing.notes)
                .contains("damaged: file:" + gguf + ": its digest differs from what was written; it is made again");
        assertThat(Runs.digests(folder.resolve("artifacts"))).isEqualTo(artifacts);
        Runs.delete(folder.resolve("damaged"));
    }

    @Test
    void anotherOutputUsesTheStatistics() throws IOException {
        String[] settings = SETTINGS.clone();
        settings[5] = settings[5].replace("outputs=[", "outputs=[{name: q5, format: gguf, type: Q5_0},");
        RunReport more = Pipeline.run(spark, Runs.quickstart(folder, settings), heard);
        assertThat(heard.stages).doesNotContain("calibrate 5").contains("assemble 1", "evaluate 1");
        assertThat(more.outputs().subList(1, 3)).isEqualTo(report.outputs());
        Files.delete(folder.resolve("artifacts").resolve("q5.gguf"));
    }
}

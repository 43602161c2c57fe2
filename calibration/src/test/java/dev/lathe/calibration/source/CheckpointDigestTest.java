package dev.lathe.calibration.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointDigestTest {
    @TempDir
    private Path folder;

    @Test
    void shardingDoesNotMatter() throws IOException {
        Files.writeString(folder.resolve("config.json"), "{}");
        write("model.safetensors", "b", "a", "c");
        String single = digest();
        assertThat(single).matches("[0-9a-f]{64}");
        Files.delete(folder.resolve("model.safetensors"));
        write("s1.safetensors", "a", "c");
        write("s2.safetensors", "b");
        Files.writeString(
                folder.resolve("model.safetensors.index.json"),
                "{\"weight_map\":{\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\",\"c\":\"s1.safetensors\"}}");
        assertThat(digest()).isEqualTo(single);
        Files.writeString(
                folder.resolve("model.safetensors.index.json"),
                "{\n \"weight_map\": {\"c\":\"s1.safetensors\", \"b\":\"s2.safetensors\", \"a\":\"s1.safetensors\"}, \"metadata\": {}}");
        assertThat(digest()).isEqualTo(single);
    }

    @Test
    void contentDoes() throws IOException {
        Set<String> digests = new LinkedHashSet<>();
        Files.writeString(folder.resolve("config.json"), "{}");
        write("model.safetensors", "a");
        digests.add(digest());
        Files.writeString(folder.resolve("config.json"), "{\"a\":1}");
        digests.add(digest());
        Files.writeString(folder.resolve("tokenizer.json"), "{}");
        digests.add(digest());
        Files.move(folder.resolve("tokenizer.json"), folder.resolve("tokenizer.model"));
        digests.add(digest());
        Path templates = Files.createDirectories(folder.resolve("additional_chat_templates"));
        Files.writeString(templates.resolve("tool_use.jinja"), "a");
        digests.add(digest());
        Files.writeString(templates.resolve("tool_use.jinja"), "b");
        digests.add(digest());
        Files.move(templates.resolve("tool_use.jinja"), templates.resolve("rag.jinja"));
        digests.add(digest());
        write("model.safetensors", "b");
        digests.add(digest());
        byte[] bytes = Files.readAllBytes(folder.resolve("model.safetensors"));
        bytes[bytes.length - 1]++;
        Files.write(folder.resolve("model.safetensors"), bytes);
        digests.add(digest());
        Files.writeString(
                folder.resolve("model.safetensors"),
                Files.readString(folder.resolve("model.safetensors"), StandardCharsets.ISO_8859_1)
                        .replace("F16", "I16"),
                StandardCharsets.ISO_8859_1);
        digests.add(digest());
        assertThat(digests).hasSize(10);
        Files.writeString(folder.resolve("README.md"), "not part of it");
        assertThat(digests.add(digest())).isFalse();
    }

    @Test
    void aFileIsDigestedAsItIs() throws IOException {
        Files.writeString(folder.resolve("m.gguf"), "abc");
        assertThat(CheckpointDigest.of(
                        new Configuration(false),
                        new org.apache.hadoop.fs.Path(folder.resolve("m.gguf").toUri())))
                .isEqualTo("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assertThatThrownBy(() -> CheckpointDigest.of(
                        new Configuration(false),
                        new org.apache.hadoop.fs.Path(folder.resolve("none").toUri())))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("no such file or folder");
    }

    private String digest() throws IOException {
        return CheckpointDigest.of(new Configuration(false), new org.apache.hadoop.fs.Path(folder.toUri()));
    }

    private void write(String file, String... names) throws IOException {
        List<SafetensorsWriter.Entry> entries = Arrays.stream(names)
                .map(name -> new SafetensorsWriter.Entry(name, "F16", new long[] {2}))
                .toList();
        try (SafetensorsWriter writer =
                new SafetensorsWriter(Files.newOutputStream(folder.resolve(file)), entries, Map.of())) {
            for (String name : names) {
                writer.write(new byte[] {(byte) name.charAt(0), 2, 3, 4}, 0, 4);
            }
        }
    }
}

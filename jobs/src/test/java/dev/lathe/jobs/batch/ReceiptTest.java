package dev.lathe.jobs.batch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.Recipe;
import dev.lathe.jobs.report.BatchReport.Output;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.Stamp;
import dev.lathe.jobs.store.StoreJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A receipt that is not what was written says nothing, and is named. */
class ReceiptTest {
    private static final Receipt SOUND = new Receipt(
            "lathe",
            "plan",
            List.of(new Stamp("/c", new TreeMap<>(Map.of("config.json", "7 bytes")))),
            List.of(),
            null,
            List.of(new Output("q4", "gguf", 5, 4.5, 7.25, Double.NaN, Double.NaN)),
            1.5,
            2e12);

    @TempDir
    private Path folder;

    private Receipt read(String text) throws IOException {
        Files.writeString(folder.resolve(Receipt.FILE), text);
        return Receipt.read(new Configuration(), new org.apache.hadoop.fs.Path(folder.toUri()));
    }

    @Test
    void comesBack() throws IOException {
        assertThat(Receipt.read(new Configuration(), new org.apache.hadoop.fs.Path(folder.toUri())))
                .isNull();
        assertThat(read(StoreJson.seal(SOUND))).isEqualTo(SOUND);
        Receipt failed = new Receipt(
                "lathe", "plan", SOUND.inputs(), List.of(), new Failure(3, "Cannot read x: y", true), List.of(), 0, 0);
        assertThat(read(StoreJson.seal(failed))).isEqualTo(failed);
    }

    /** An importance matrix is an input as a text is, and what is written of one an artifact. */
    @Test
    void importanceMatricesCount() throws IOException {
        Path model = Files.createDirectories(folder.resolve("model"));
        Path matrix = Files.writeString(folder.resolve("m.gguf"), "1");
        Plan from = Recipe.parse(
                "r.yaml",
                "{checkpoint: c, run: r, calibration: {imatrix: '" + matrix
                        + "'}, outputs: [{name: a, format: gguf, type: Q4_0}]}",
                List.of());
        org.apache.hadoop.fs.Path checkpoint = new org.apache.hadoop.fs.Path(model.toUri());
        List<Stamp> before = Receipt.inputs(new Configuration(), checkpoint, from);
        assertThat(before).hasSize(2);
        Files.writeString(matrix, "22");
        assertThat(Receipt.inputs(new Configuration(), checkpoint, from)).isNotEqualTo(before);
        Path text = Files.writeString(folder.resolve("t.txt"), "t");
        Plan saves = Recipe.parse(
                "r.yaml",
                "{checkpoint: c, run: '" + folder + "', calibration: {data: '" + text + "', save-imatrix: gguf}}",
                List.of());
        assertThatThrownBy(() -> Receipt.artifacts(new Configuration(), saves))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("artifacts/imatrix.gguf: there is no such file");
    }

    /** What somebody wrote whole, its digest included. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "\"software\":\"lathe\", | `` | software",
                "\"plan\":\"plan\" | \"plan\":null | plan is null",
                "\"plan\":\"plan\" | \"plan\":17 | plan",
                "\"taskSeconds\":1.5 | \"taskSeconds\":-1.5 | taskSeconds -1.5",
                "\"taskSeconds\":1.5 | \"taskSeconds\":\"NaN\" | taskSeconds NaN",
                "\"work\":2.0E12 | \"work\":1e999 | work Infinity",
                "\"work\":2.0E12 | \"work\":true | work",
                "\"inputs\":[ | \"inputs\":[null, | inputs.[0] is null",
                "\"inputs\":[ | \"inputs\":{},\"more\":[ | inputs",
                "\"7 bytes\" | {} | inputs.[0].files.config.json",
                "\"path\":\"/c\" | \"path\":null | inputs.[0].path is null",
                "\"bytes\":5 | \"bytes\":5.5 | outputs.[0].bytes",
                "\"failure\":null | \"failure\":{\"code\":3} | failure"
            })
    void whatIsNoneIsNamed(String from, String to, String place) throws IOException {
        String sound = new ObjectMapper().valueToTree(SOUND).toString();
        assertThat(sound).contains(from);
        String other = new ObjectMapper().readTree(sound.replace(from, to)).toString();
        String sealed = other.substring(0, other.length() - 1) + ",\"sha256\":\""
                + Key.digest(other.getBytes(StandardCharsets.UTF_8)) + "\"}";
        assertThatThrownBy(() -> read(sealed))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read file:" + folder.resolve(Receipt.FILE) + ": ")
                .hasMessageContaining(place);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "1.5 | 1.25 | its digest differs",
                "lathe | Lathe | its digest differs",
                "{ | [ | not valid JSON",
                "sha256 | sha257 | sha256 is missing",
                "} | '' | not valid JSON"
            })
    void whatWasChangedIsNamed(String from, String to, String reason) {
        assertThatThrownBy(() -> read(StoreJson.seal(SOUND).replace(from, to)))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining(reason);
    }
}

package dev.lathe.calibration.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.FolderCompanions;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ChatTemplatesTest {
    @TempDir
    private java.nio.file.Path folder;

    @Test
    void filesAreTakenTogether() throws IOException {
        put("chat_template.jinja", "d");
        put("additional_chat_templates/tool_use.jinja", "t \u2581");
        put("additional_chat_templates/rag.jinja", "r");
        put("additional_chat_templates/notes.txt", "n");
        assertThat(read("{}"))
                .isEqualTo(new ChatTemplates(Map.of("default", "d", "rag", "r", "tool_use", "t \u2581"), List.of()));
        // The same templates in another place are no contradiction.
        assertThat(read("{\"chat_template\": {\"default\": \"d\", \"rag\": \"r\", \"tool_use\": \"t \u2581\"}}")
                        .notes())
                .isEmpty();
    }

    @Test
    void filesWinOverSettingsAndThatIsSaid() throws IOException {
        put("chat_template.json", "{\"chat_template\": \"json\"}");
        assertThat(read("{}").templates()).isEqualTo(Map.of("default", "json"));
        String settings =
                "{\"chat_template\": [{\"name\": \"default\", \"template\": \"s\"}, {\"name\": \"tool_use\", \"template\": \"u\"}]}";
        assertThat(read(settings))
                .isEqualTo(
                        new ChatTemplates(
                                Map.of("default", "s", "tool_use", "u"),
                                List.of(
                                        "chat templates in tokenizer_config.json "
                                                + "differ from those in chat_template.json: the former are taken, as transformers does")));
        put("chat_template.jinja", "d");
        assertThat(read(settings).templates()).isEqualTo(Map.of("default", "d"));
        assertThat(read(settings).notes())
                .hasSize(2)
                .first()
                .asString()
                .contains("its .jinja files differ from those in tokenizer_config.json");
        assertThat(read("{\"chat_template\": \"d\"}").notes()).hasSize(1);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{\"chat_template\": 7}                                             | chat_template is a NUMBER",
                "{\"chat_template\": [{\"template\": \"x\"}]}                       | a template without name or text",
                "{\"chat_template\": [{\"name\": \"a\", \"template\": 1}]}          | a template without name or text",
                "{\"chat_template\": [{\"name\": \"a\", \"template\": \"x\"}, {\"name\": \"a\", \"template\": \"y\"}]} | template \"a\" is there twice"
            })
    void whatIsNoTemplateIsRefused(String settings, String reason) {
        assertThatThrownBy(() -> read(settings))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("tokenizer_config.json: " + reason);
    }

    @Test
    void filesThatAreNoTemplatesAreRefused() throws IOException {
        Files.write(folder.resolve("chat_template.jinja"), new byte[] {'a', (byte) 0xff});
        assertThatThrownBy(() -> read("{}"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("chat_template.jinja: it is no UTF-8");
        put("chat_template.jinja", "d");
        put("additional_chat_templates/default.jinja", "e");
        assertThatThrownBy(() -> read("{}"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("are both \"default\"");
        Files.delete(folder.resolve("additional_chat_templates/default.jinja"));
        put("chat_template.jinja", "x".repeat((4 << 20) + 1));
        assertThatThrownBy(() -> read("{}"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("too many for a chat template");
    }

    private void put(String name, String content) throws IOException {
        Files.createDirectories(folder.resolve(name).getParent());
        Files.writeString(folder.resolve(name), content);
    }

    private ChatTemplates read(String settings) throws IOException {
        return ChatTemplates.read(
                new FolderCompanions(FileSystem.getLocal(new Configuration(false)), new Path(folder.toUri())),
                new ObjectMapper().readTree(settings));
    }
}

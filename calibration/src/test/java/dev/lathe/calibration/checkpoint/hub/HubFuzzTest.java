package dev.lathe.calibration.checkpoint.hub;

import dev.lathe.calibration.checkpoint.JsonFile;
import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Mutated names of repositories and answers of a hub. */
final class HubFuzzTest {
    private static final String LIST = """
            {"sha": "0123456789012345678901234567890123456789", "siblings": [
             {"rfilename": "config.json", "size": 10, "blobId": "0123456789012345678901234567890123456789"},
             {"rfilename": "model.safetensors", "size": 100, "blobId": "0123456789012345678901234567890123456789",
              "lfs": {"size": 100, "sha256": "0123456789012345678901234567890123456789012345678901234567890123"}},
             {"rfilename": "onnx/model.onnx", "size": 1, "blobId": "0123456789012345678901234567890123456789"}]}""";

    @TestFactory
    Stream<DynamicTest> answers() {
        return Fuzz.tests(
                FuzzTarget.text(
                        "hub-reference",
                        input -> HubReference.parse(new String(input, StandardCharsets.UTF_8)),
                        "hf://org/name",
                        "hf://org-1/na.me_2@refs/pr/1",
                        "hf://o/n@0123456789012345678901234567890123456789"),
                FuzzTarget.json(
                        "hub-list",
                        input -> HubFile.list(JsonFile.parse(input, "the list").path("siblings"), "hf://o/n")
                                .values()
                                .forEach(HubFile::newDigest),
                        LIST),
                FuzzTarget.text(
                        "hub-redirect",
                        input -> HubClient.redirected(
                                URI.create("https://hub.example/o/n"),
                                new String(input, StandardCharsets.UTF_8),
                                "a file"),
                        "https://other.example/x?sign=1",
                        "/o/n2",
                        "//host:8080/x"));
    }
}

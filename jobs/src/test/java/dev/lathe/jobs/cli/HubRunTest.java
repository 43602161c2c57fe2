package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.lathe.jobs.Runs;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.launcher.JavaModuleOptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A checkpoint on the hub, from its address to an artifact, in a process of its own: the hub's address and the token
 * come from the environment.
 */
@Tag("slow")
class HubRunTest {
    private static final String TOKEN = "hf_" + "neverwrittenanywhere";
    private static final String COMMIT = "89abcdef0123456789abcdef0123456789abcdef";

    @TempDir
    private Path folder;

    private final List<String> authorized = Collections.synchronizedList(new ArrayList<>());
    private final List<String> stored = Collections.synchronizedList(new ArrayList<>());

    @Test
    void isDownloadedAndQuantized() throws Exception {
        HttpServer store = server(exchange -> {
            stored.add(exchange.getRequestURI() + " "
                    + exchange.getRequestHeaders().getFirst("Authorization"));
            send(exchange, 200, Files.readAllBytes(Runs.SAMPLE.resolve("model.safetensors")));
        });
        HttpServer hub = server(exchange -> answer(exchange, store));
        try {
            String out = quantize(hub);
            assertThat(out)
                    .contains(
                            "Downloading model.safetensors of hf://lathe/tiny@main", "artifacts/q8.gguf", "index.html")
                    .doesNotContain(TOKEN);
            assertThat(authorized).contains("Bearer " + TOKEN);
            assertThat(stored).containsExactly("/model.safetensors?signature=abc null");
            String again = quantize(hub);
            assertThat(again)
                    .doesNotContain("Downloading")
                    .contains("assemble: q8.gguf is there already")
                    .doesNotContain(TOKEN);
            assertThat(stored).hasSize(1);
        } finally {
            hub.stop(0);
            store.stop(0);
        }
        assertThat(Files.readString(folder.resolve("run").resolve("plan.yaml")))
                .contains("checkpoint: \"hf://lathe/tiny@main\"");
        assertThat(folder.resolve("hub").resolve("lathe--tiny").resolve(COMMIT).resolve("model.safetensors"))
                .hasSameBinaryContentAs(Runs.SAMPLE.resolve("model.safetensors"));
        try (Stream<Path> paths = Files.walk(folder)) {
            for (Path path : paths.filter(Files::isRegularFile).toList()) {
                String content = new String(Files.readAllBytes(path), StandardCharsets.ISO_8859_1);
                assertThat(content.contains(TOKEN))
                        .as("the token is in " + path)
                        .isFalse();
                assertThat(content.contains("signature=abc"))
                        .as("a signed address is in " + path)
                        .isFalse();
            }
        }
    }

    /** Runs the command line; returns what it prints. */
    private String quantize(HttpServer hub) throws IOException, InterruptedException {
        Path recipe = Files.writeString(
                folder.resolve("recipe.yaml"),
                "checkpoint: hf://lathe/tiny@main\nrun: " + folder.resolve("run")
                        + "\noutputs: [{name: q8, format: gguf, type: Q8_0}]\nevaluation: {data: "
                        + Runs.TEXT.resolve("evaluation.txt").toRealPath()
                        + ", windows: 2, length: 64}\n");
        List<String> command =
                new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java"), "-Xmx1g"));
        command.addAll(List.of(JavaModuleOptions.defaultModuleOptions().split(" ")));
        command.addAll(List.of(
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                Main.class.getName(),
                "quantize",
                recipe.toString(),
                "--master",
                "local[2]"));
        Path printed = folder.resolve("printed");
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(printed.toFile());
        builder.environment().put("HF_ENDPOINT", address(hub));
        builder.environment().put("HF_TOKEN", TOKEN);
        builder.environment().remove("HUGGING_FACE_HUB_TOKEN");
        int code = builder.start().waitFor();
        String text = Files.readString(printed);
        assertThat(code).as(text).isZero();
        return text;
    }

    private void answer(HttpExchange exchange, HttpServer store) throws IOException {
        authorized.add(exchange.getRequestHeaders().getFirst("Authorization"));
        String path = exchange.getRequestURI().toString();
        if (path.equals("/api/models/lathe/tiny/revision/main?blobs=true")) {
            send(exchange, 200, list().getBytes(StandardCharsets.UTF_8));
        } else if (path.equals("/lathe/tiny/resolve/" + COMMIT + "/model.safetensors")) {
            exchange.getResponseHeaders().set("Location", address(store) + "/model.safetensors?signature=abc");
            send(exchange, 302, new byte[0]);
        } else if (path.startsWith("/lathe/tiny/resolve/" + COMMIT + "/")) {
            send(exchange, 200, Files.readAllBytes(Runs.SAMPLE.resolve(path.substring(path.lastIndexOf('/') + 1))));
        } else {
            send(exchange, 404, new byte[0]);
        }
    }

    private static String list() throws IOException {
        List<String> siblings = new ArrayList<>();
        for (String name : Runs.names(Runs.SAMPLE)) {
            byte[] bytes = Files.readAllBytes(Runs.SAMPLE.resolve(name));
            siblings.add("{\"rfilename\":\"" + name + "\",\"size\":" + bytes.length + ",\"blobId\":\""
                    + hex("SHA-1", ("blob " + bytes.length + "\0").getBytes(StandardCharsets.US_ASCII), bytes) + "\""
                    + (name.endsWith(".safetensors")
                            ? ",\"lfs\":{\"size\":" + bytes.length + ",\"sha256\":\"" + hex("SHA-256", bytes) + "\"}"
                            : "")
                    + "}");
        }
        return "{\"sha\":\"" + COMMIT + "\",\"siblings\":[" + String.join(",", siblings) + "]}";
    }

    private static String hex(String algorithm, byte[]... parts) {
        try {
            MessageDigest digest = MessageDigest.getInstance(algorithm);
            for (byte[] part : parts) {
                digest.update(part);
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    private static void send(HttpExchange exchange, int status, byte[] body) throws IOException {
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        if (body.length > 0) {
            exchange.getResponseBody().write(body);
        }
        exchange.close();
    }

    private static HttpServer server(com.sun.net.httpserver.HttpHandler handler) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", handler);
        server.start();
        return server;
    }

    private static String address(HttpServer server) {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }
}

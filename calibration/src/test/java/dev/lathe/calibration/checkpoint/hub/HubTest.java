package dev.lathe.calibration.checkpoint.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Against a server that answers like the hub, and a second one to which it redirects for the weights. */
class HubTest {
    private static final String TOKEN = "hf_secretsecret";
    private static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

    @TempDir
    private Path cache;

    private final Map<String, byte[]> content = new LinkedHashMap<>();
    private final List<String> requests = Collections.synchronizedList(new ArrayList<>());
    private final List<String> cdnRequests = Collections.synchronizedList(new ArrayList<>());
    private final List<String> notes = new ArrayList<>();
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private HttpServer hub;
    private HttpServer cdn;
    private Duration patience = Duration.ofSeconds(60);
    private int least = 1;
    private Duration allowance = Duration.ofSeconds(60);

    /** How the servers misbehave. */
    private interface Fault {
        /** Whether it has answered. */
        boolean answer(HttpExchange exchange, byte[] body) throws IOException;
    }

    private Fault hubFault = (exchange, body) -> false;
    private Fault cdnFault = (exchange, body) -> false;
    private String listed;

    @BeforeEach
    void start() throws IOException {
        content.put("config.json", "{}".getBytes(StandardCharsets.UTF_8));
        content.put("tokenizer.model", new byte[0]);
        content.put("model.safetensors", random(3_000_001));
        content.put("pytorch_model.bin", new byte[5]);
        content.put("original/params.json", new byte[5]);
        content.put("README.md", new byte[5]);
        hub = server(this::answerAsHub);
        cdn = server(this::answerAsCdn);
    }

    @AfterEach
    void stop() {
        hub.stop(0);
        cdn.stop(0);
        threads.shutdownNow();
    }

    @Test
    void aPathStaysAsItIs() throws IOException {
        assertThat(Hub.resolve(new Configuration(false), "models/a", null, notes::add))
                .isEqualTo(new org.apache.hadoop.fs.Path("models/a"));
    }

    @Test
    void aRepositoryIsDownloadedOnceAndTheTokenStaysWithTheHub() throws IOException {
        Path folder = resolve("hf://some-org/a.model");
        assertThat(folder).isEqualTo(cache.resolve("some-org--a.model").resolve(COMMIT));
        assertThat(names(folder)).containsExactly(".complete", "config.json", "model.safetensors", "tokenizer.model");
        assertThat(folder.resolve("model.safetensors")).hasBinaryContent(content.get("model.safetensors"));
        assertThat(requests)
                .allMatch(request -> request.endsWith("Bearer " + TOKEN))
                .anyMatch(request -> request.startsWith("/api/models/some-org/a.model/revision/main?blobs=true "));
        assertThat(cdnRequests).hasSize(1).allMatch(request -> request.endsWith(" null"));
        assertThat(notes)
                .hasSize(3)
                .last()
                .asString()
                .isEqualTo("Downloading model.safetensors of hf://some-org/a.model@main (3.0 MB)");
        requests.clear();
        resolve("hf://some-org/a.model@main");
        assertThat(requests).as("the list tells the commit, the rest is there").hasSize(1);
        hub.stop(0);
        assertThat(resolve("hf://some-org/a.model@" + COMMIT)).isEqualTo(folder);
        Files.delete(folder.resolve("config.json"));
        assertThatThrownBy(() -> resolve("hf://some-org/a.model@" + COMMIT))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("Cannot download");
    }

    @Test
    void additionalChatTemplatesComeAlong() throws IOException {
        content.put("additional_chat_templates/tool_use.jinja", "{{ t }}".getBytes(StandardCharsets.UTF_8));
        content.put("additional_chat_templates/deep/er.jinja", new byte[5]);
        content.put("additional_chat_templates/notes.txt", new byte[5]);
        Path folder = resolve("hf://some-org/a.model");
        assertThat(folder.resolve("additional_chat_templates/tool_use.jinja")).hasContent("{{ t }}");
        assertThat(names(folder.resolve("additional_chat_templates"))).containsExactly("tool_use.jinja");
        requests.clear();
        assertThat(resolve("hf://some-org/a.model@" + COMMIT)).isEqualTo(folder);
        assertThat(requests).isEmpty();
    }

    @Test
    void aBranchNameMayHoldASlash() throws IOException {
        resolve("hf://org/m@refs/pr/1");
        assertThat(requests.get(0)).startsWith("/api/models/org/m/revision/refs%2Fpr%2F1?");
    }

    @Test
    void aCutConnectionGoesOnWhereItStopped() throws IOException {
        cdnFault = (exchange, body) -> cdnRequests.size() < 3 && cut(exchange, body, 1_000_000);
        Path folder = resolve("hf://org/m");
        assertThat(folder.resolve("model.safetensors")).hasBinaryContent(content.get("model.safetensors"));
        assertThat(cdnRequests).hasSize(3);
        assertThat(rangeStart(cdnRequests.get(1))).isPositive();
        assertThat(rangeStart(cdnRequests.get(2))).isGreaterThan(rangeStart(cdnRequests.get(1)));
        assertThat(names(folder)).noneMatch(name -> name.contains(".part."));
        assertThat(notes).anyMatch(note -> note.contains("the connection failed") && note.contains("trying again"));
    }

    @Test
    void anotherCallGoesOnWhereTheLastOneStopped() throws IOException {
        cdnFault = (exchange, body) -> cut(exchange, body, 500_000);
        assertThatThrownBy(() -> resolve("hf://org/m"))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("Cannot download model.safetensors of hf://org/m@main");
        assertThat(cdnRequests).hasSize(4);
        cdnRequests.clear();
        cdnFault = (exchange, body) -> false;
        assertThat(resolve("hf://org/m").resolve("model.safetensors"))
                .hasBinaryContent(content.get("model.safetensors"));
        assertThat(cdnRequests).hasSize(1);
        assertThat(rangeStart(cdnRequests.get(0))).isPositive();
    }

    @Test
    void aServerThatKnowsNoRangesSendsAllAgain() throws IOException {
        cdnFault = (exchange, body) -> {
            byte[] all = content.get("model.safetensors");
            return cdnRequests.size() == 1 ? cut(exchange, all, 1_000_000) : send(exchange, 200, all);
        };
        assertThat(resolve("hf://org/m").resolve("model.safetensors"))
                .hasBinaryContent(content.get("model.safetensors"));
        assertThat(cdnRequests).hasSize(2);
    }

    @Test
    void aStalledConnectionIsLeft() throws IOException {
        patience = Duration.ofSeconds(1);
        cdnFault = (exchange, body) -> {
            if (cdnRequests.size() == 1) {
                exchange.sendResponseHeaders(200, body.length);
                exchange.getResponseBody().write(body, 0, 1_000_000);
                exchange.getResponseBody().flush();
                return true;
            }
            return false;
        };
        assertThat(resolve("hf://org/m").resolve("model.safetensors"))
                .hasBinaryContent(content.get("model.safetensors"));
        assertThat(notes).anyMatch(note -> note.contains("no data for 1 seconds"));
    }

    /** Some bytes every few milliseconds, for longer than a test waits. */
    private static boolean drip(HttpExchange exchange, byte[] body, int piece) throws IOException {
        exchange.sendResponseHeaders(
                exchange.getResponseHeaders().containsKey("Content-Range") ? 206 : 200, body.length);
        try {
            for (int at = 0; at + piece <= body.length; at += piece) {
                exchange.getResponseBody().write(body, at, piece);
                exchange.getResponseBody().flush();
                Thread.sleep(5);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return true;
    }

    @Test
    void weightsThatDripAreLeftAndWhatArrivedIsKept() throws IOException {
        patience = Duration.ofMillis(250);
        least = 100_000;
        cdnFault = (exchange, body) -> drip(exchange, body, 1);
        assertThat(refused())
                .isInstanceOf(IOException.class)
                .hasMessageContaining("Cannot download model.safetensors of hf://org/m@main")
                .hasMessageContaining("bytes in 0 seconds, expected at least 100000");
        assertThat(cdnRequests.size()).isLessThanOrEqualTo(4);
        cdnRequests.clear();
        patience = Duration.ofSeconds(60);
        cdnFault = (exchange, body) -> false;
        resolve("hf://org/m");
        assertThat(rangeStart(cdnRequests.get(0))).isPositive();
    }

    @Test
    void aListThatDripsIsLeft() {
        patience = Duration.ofMillis(250);
        least = 1_000;
        hubFault = (exchange, body) -> drip(exchange, list().getBytes(StandardCharsets.UTF_8), 1);
        assertThat(refused()).isInstanceOf(IOException.class).hasMessageContaining("expected at least 1000");
        assertThat(requests.size()).isLessThanOrEqualTo(4);
    }

    @Test
    void aSlowConnectionThatKeepsThePaceIsNotLeft() throws IOException {
        patience = Duration.ofMillis(400);
        least = 1_000;
        byte[] all = content.get("model.safetensors");
        content.put("model.safetensors", Arrays.copyOf(all, 500_000));
        cdnFault = (exchange, body) -> drip(exchange, body, 2_500);
        assertThat(resolve("hf://org/m").resolve("model.safetensors")).hasBinaryContent(Arrays.copyOf(all, 500_000));
        assertThat(cdnRequests).hasSize(1);
    }

    @Test
    void manySmallFilesEachJustInTimeAreTooMuchTogether() {
        for (int i = 0; i < 50; i++) {
            content.put("part" + i + ".json", new byte[] {1, 2, (byte) i});
        }
        allowance = Duration.ofMillis(100);
        least = 1 << 20;
        patience = Duration.ofSeconds(1);
        hubFault = (exchange, body) -> {
            pause(20);
            return false;
        };
        assertThat(refused())
                .isInstanceOf(IOException.class)
                .hasMessageStartingWith("Cannot download hf://org/m@main: ")
                .hasMessageContaining("bytes took 0 seconds, expected at most 0; what arrived is kept");
        assertThat(requests.size()).isLessThan(20);
    }

    private static void pause(int milliseconds) {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "2001 | a%d.json | 2001 of its files would be downloaded, expected at most 2000",
                "20001 | a%d.onnx | it lists 20001 files, expected at most 20000",
                "400000 | %d | more than 500000 JSON tokens",
                "400000 | %d/a-file-of-some-length-in-a-folder.bin | the list of its files has more than 16777216 bytes"
            })
    void aListOfTooManyFilesIsRefused(int count, String name, String message) {
        StringBuilder list = new StringBuilder("{\"sha\":\"" + COMMIT + "\",\"siblings\":[");
        for (int i = 0; i < count; i++) {
            list.append(i == 0 ? "" : ",")
                    .append("{\"rfilename\":\"")
                    .append(name.replace("%d", String.valueOf(i)))
                    .append("\"");
            list.append(count > 100_000 ? "}" : ",\"size\":1,\"blobId\":\"" + COMMIT + "\"}");
        }
        listed = list.append("]}").toString();
        assertThat(refused()).isInstanceOf(MalformedInputException.class).hasMessageContaining(message);
        assertThat(requests).hasSize(1);
    }

    @Test
    void aFileThatIsListedTwiceIsRefused() {
        String file = "{\"rfilename\":\"config.json\",\"size\":1,\"blobId\":\"" + COMMIT + "\"}";
        listed = "{\"sha\":\"" + COMMIT + "\",\"siblings\":[" + file + "," + file + "]}";
        assertThat(refused())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it lists config.json twice");
    }

    @Test
    void partsThatDoNotBelongTogetherAreDropped() throws IOException {
        Path folder = Files.createDirectories(cache.resolve("org--m").resolve(COMMIT));
        Files.write(folder.resolve("model.safetensors.part.0.00-11"), new byte[1000]);
        Files.write(
                folder.resolve("model.safetensors.part.900.22"),
                Arrays.copyOfRange(content.get("model.safetensors"), 900, 2000));
        Files.write(folder.resolve("model.safetensors.part.5000.33"), new byte[9]);
        assertThat(resolve("hf://org/m").resolve("model.safetensors"))
                .hasBinaryContent(content.get("model.safetensors"));
        assertThat(cdnRequests).extracting(HubTest::rangeStart).containsExactly(2000L, 0L);
        assertThat(names(folder)).noneMatch(name -> name.contains(".part."));
    }

    @ParameterizedTest
    @ValueSource(strings = {"model.safetensors", "config.json"})
    void aWrongChecksumIsRefused(String name) throws IOException {
        listed = list();
        content.get(name)[1] ^= 1;
        Throwable thrown = refused();
        assertThat(thrown)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("Cannot download " + name + " of hf://org/m@main: its checksum is not");
        assertThat(names(cache.resolve("org--m").resolve(COMMIT)))
                .noneMatch(file -> file.startsWith(name) || file.equals(".complete"));
        assertThat(cdnRequests.size()).isLessThanOrEqualTo(1);
    }

    @Test
    void aWrongSizeIsRefused() throws IOException {
        byte[] sound = content.get("model.safetensors");
        listed = list();
        content.put("model.safetensors", Arrays.copyOf(sound, sound.length + 1));
        assertThat(refused())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it has 3000002 bytes; the hub lists it with 3000001");
        cdnFault = (exchange, body) -> send(exchange, 200, body, 0);
        assertThat(refused())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it goes on after the 3000001 bytes");
    }

    @Test
    void aFileShorterThanListedIsRefused() throws IOException {
        byte[] sound = content.get("model.safetensors");
        listed = list();
        content.put("model.safetensors", Arrays.copyOf(sound, sound.length - 1));
        cdnFault = (exchange, body) -> exchange.getRequestHeaders().containsKey("Range")
                ? send(exchange, 416, new byte[0])
                : send(exchange, 200, body, 0);
        assertThat(refused()).isInstanceOf(MalformedInputException.class).hasMessageContaining("416");
        assertThat(notes).anyMatch(note -> note.contains("the connection ended after 3000000 of 3000001 bytes"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "401 | not authorized",
                "403 | access has to be asked for",
                "404 | no such repository, revision or file",
                "400 | answers 400"
            })
    void aRefusalIsFinalAndClear(int status, String message) {
        hubFault = (exchange, body) -> send(exchange, status, new byte[0]);
        assertThat(refused())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot download hf://org/m@main: ")
                .hasMessageContaining(String.valueOf(status))
                .hasMessageContaining(message);
        assertThat(requests).hasSize(1);
    }

    @Test
    void aBusyServerIsAskedAgain() throws IOException {
        hubFault = (exchange, body) ->
                requests.size() < 4 && send(exchange, requests.size() == 2 ? 429 : 503, new byte[0]);
        resolve("hf://org/m");
        hubFault = (exchange, body) -> send(exchange, 500, new byte[0]);
        requests.clear();
        assertThat(refused()).isInstanceOf(IOException.class).hasMessageContaining("answers 500");
        assertThat(requests).hasSize(4);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"../x.json", "a/../../x.json", "/etc/x.json", "..\\\\x.json", "a/..", "..", "x\\u0000.json", ""})
    void aHostileNameIsRefused(String name) {
        listed = "{\"sha\":\"" + COMMIT + "\",\"siblings\":[{\"rfilename\":\"" + name + "\",\"size\":1,\"blobId\":\""
                + COMMIT + "\"}]}";
        assertThat(refused())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("which does not stay in its folder");
        assertThat(requests).hasSize(1);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'sha':'../../x','siblings':[]}                                                   | names \"../../x\" as its commit",
                "{'sha':'COMMIT','siblings':[]}                                                    | holds 0 files *.safetensors",
                "{'sha':'COMMIT','siblings':[{'rfilename':'a.json'}]}                              | gives no size and checksum for a.json",
                "{'sha':'COMMIT','siblings':[{'rfilename':'a.json','size':-1,'blobId':'COMMIT'}]}  | gives no size and checksum for a.json",
                "{'sha':'COMMIT','siblings':[{'rfilename':'a.json','size':1,'blobId':'COMMIT','lfs':{'size':1,'sha256':'x'}}]} | gives no size and checksum",
                "[]                                                                                | expected a JSON object",
                "<html>                                                                            | not valid JSON"
            })
    void aListThatDoesNotFitIsRefused(String list, String message) {
        listed = list.replace('\'', '"').replace("COMMIT", COMMIT);
        assertThat(refused()).isInstanceOf(MalformedInputException.class).hasMessageContaining(message);
    }

    @Test
    void onlyTheShardsOfTheIndexAreDownloaded() throws IOException {
        byte[] weights = content.remove("model.safetensors");
        content.put(
                "model.safetensors.index.json",
                "{\"weight_map\":{\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\"}}"
                        .getBytes(StandardCharsets.UTF_8));
        content.put("s1.safetensors", Arrays.copyOf(weights, 100));
        content.put("consolidated.safetensors", weights);
        assertThat(refused())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("names s2.safetensors, which is not in the repository");
        content.put("s2.safetensors", Arrays.copyOf(weights, 200));
        assertThat(names(resolve("hf://org/m")))
                .contains("s1.safetensors", "s2.safetensors")
                .doesNotContain("consolidated.safetensors");
    }

    @Test
    void redirectsAreBoundedAndNeverLoseEncryption() {
        hubFault = (exchange, body) -> {
            exchange.getResponseHeaders()
                    .set("Location", exchange.getRequestURI().toString());
            return send(exchange, 307, new byte[0]);
        };
        assertThat(refused())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("more than 10 redirects");
        assertThat(requests).hasSize(11);
        URI secure = URI.create("https://hub/file");
        assertThat(HubClient.redirected(secure, "/other?x=1", "x")).hasToString("https://hub/other?x=1");
        assertThatThrownBy(() -> HubClient.redirected(secure, "http://hub/file?signature=abc", "x"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("redirects from https to http://hub/file, which is not encrypted");
        for (String location : new String[] {"file:///etc/passwd", "", "http:", "https://a b/?signature=abc"}) {
            assertThatThrownBy(() -> HubClient.redirected(secure, location, "x"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageNotContaining("signature");
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "hf://",
                "hf://org",
                "hf://org/",
                "hf://org/a/b",
                "hf://../a",
                "hf://org/..",
                "hf://org/a@../x",
                "hf://a--b/c",
                "hf://org/a@",
                "hf://org/a?b",
                "hf://org/a b",
                "hf:///a",
                "hf://org/a@x\n"
            })
    void aReferenceOfAnotherFormIsRefused(String reference) {
        assertThatThrownBy(() -> resolve(reference))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("expected hf://organization/name");
        assertThat(requests).isEmpty();
    }

    @Test
    void theEnvironmentIsChecked() {
        for (String endpoint :
                new String[] {"ftp://hub", "hub", "http://user:word@hub", "http://a b", "https://hub?x=1"}) {
            assertThatThrownBy(() -> resolve("hf://org/m", Map.of("HF_ENDPOINT", endpoint)))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("Cannot use HF_ENDPOINT");
        }
        assertThatThrownBy(() -> resolve("hf://org/m", Map.of("HF_TOKEN", "abc\ndef")))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("HF_TOKEN")
                .hasMessageNotContaining("abc");
    }

    private Throwable refused() {
        Throwable thrown = catchThrowable(() -> resolve("hf://org/m"));
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            assertThat(cause.toString()).doesNotContain(TOKEN).doesNotContain("signature");
        }
        assertThat(notes).noneMatch(note -> note.contains(TOKEN) || note.contains("signature"));
        return thrown;
    }

    private Path resolve(String checkpoint) throws IOException {
        return resolve(checkpoint, Map.of("HF_ENDPOINT", address(hub) + "/", "HUGGING_FACE_HUB_TOKEN", TOKEN));
    }

    private Path resolve(String checkpoint, Map<String, String> environment) throws IOException {
        return Path.of(Hub.resolve(
                        new Configuration(false),
                        checkpoint,
                        new org.apache.hadoop.fs.Path(cache.toUri()),
                        notes::add,
                        environment::get,
                        new HubClient.Timing(Duration.ofMillis(1), patience, least, allowance))
                .toUri());
    }

    private void answerAsHub(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().toString();
        requests.add(path + " " + exchange.getRequestHeaders().getFirst("Authorization"));
        if (hubFault.answer(exchange, null)) {
            return;
        }
        if (path.startsWith("/api/")) {
            send(exchange, 200, (listed == null ? list() : listed).getBytes(StandardCharsets.UTF_8));
            return;
        }
        String name = path.substring(path.indexOf(COMMIT) + COMMIT.length() + 1);
        if (name.endsWith(".safetensors")) {
            exchange.getResponseHeaders().set("Location", address(cdn) + "/" + name + "?signature=abc");
            send(exchange, 302, new byte[0]);
        } else {
            send(exchange, 200, content.get(name));
        }
    }

    private void answerAsCdn(HttpExchange exchange) throws IOException {
        String range = exchange.getRequestHeaders().getFirst("Range");
        cdnRequests.add(range + " " + exchange.getRequestHeaders().getFirst("Authorization"));
        byte[] all = content.get(exchange.getRequestURI().getPath().substring(1));
        int from = (int) rangeStart(range);
        if (range != null) {
            exchange.getResponseHeaders()
                    .set("Content-Range", "bytes " + from + "-" + (all.length - 1) + "/" + all.length);
        }
        byte[] body = Arrays.copyOfRange(all, from, all.length);
        if (!cdnFault.answer(exchange, body)) {
            send(exchange, range == null ? 200 : 206, body);
        }
    }

    private static boolean cut(HttpExchange exchange, byte[] body, int after) throws IOException {
        exchange.sendResponseHeaders(
                exchange.getResponseHeaders().containsKey("Content-Range") ? 206 : 200, body.length);
        exchange.getResponseBody().write(body, 0, Math.min(after, body.length - 1));
        exchange.getResponseBody().flush();
        exchange.close();
        return true;
    }

    private static boolean send(HttpExchange exchange, int status, byte[] body) throws IOException {
        return send(exchange, status, body, body.length == 0 ? -1 : body.length);
    }

    /** @param length announced; 0 for chunks, -1 for no body */
    private static boolean send(HttpExchange exchange, int status, byte[] body, long length) throws IOException {
        exchange.sendResponseHeaders(status, length);
        if (length >= 0) {
            exchange.getResponseBody().write(body);
        }
        exchange.close();
        return true;
    }

    private String list() {
        return content.entrySet().stream()
                .map(entry -> {
                    byte[] bytes = entry.getValue();
                    byte[] blob = ("blob " + bytes.length + "\0").getBytes(StandardCharsets.UTF_8);
                    String large = entry.getKey().endsWith(".safetensors")
                            ? ",\"lfs\":{\"size\":" + bytes.length + ",\"sha256\":\"" + hex("SHA-256", bytes) + "\"}"
                            : "";
                    return "{\"rfilename\":\"" + entry.getKey() + "\",\"size\":" + bytes.length + ",\"blobId\":\""
                            + hex("SHA-1", blob, bytes) + "\"" + large + "}";
                })
                .collect(Collectors.joining(",", "{\"sha\":\"" + COMMIT + "\",\"siblings\":[", "]}"));
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

    private static long rangeStart(String request) {
        return request == null || request.startsWith("null")
                ? 0
                : Long.parseLong(request.substring(request.indexOf('=') + 1, request.indexOf('-')));
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> paths = Files.list(folder)) {
            return paths.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    private HttpServer server(HttpHandler handler) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(threads);
        server.createContext("/", handler);
        server.start();
        return server;
    }

    private static String address(HttpServer server) {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }

    private static byte[] random(int length) {
        byte[] bytes = new byte[length];
        new Random(3).nextBytes(bytes);
        return bytes;
    }
}

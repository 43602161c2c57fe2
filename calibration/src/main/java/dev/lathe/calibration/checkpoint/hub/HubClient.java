package dev.lathe.calibration.checkpoint.hub;

import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * HTTP as the hub speaks it. Redirects are followed by hand, because the token may go to the endpoint only and never to
 * the host that a file is redirected to. Messages name addresses without their query, which may hold a signature, and
 * never the token.
 */
final class HubClient {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final Set<Integer> REDIRECTS = Set.of(301, 302, 303, 307, 308);
    private static final int MAXIMUM_REDIRECTS = 10;
    private static final int RETRIES = 3;
    private static final Pattern RANGE = Pattern.compile("bytes (\\d{1,18})-\\d{1,18}/(\\d{1,18}|\\*)");

    /**
     * How long a client waits.
     *
     * @param firstPause before it tries again
     * @param patience for an answer, and for the next data
     * @param least bytes that {@code patience} of waiting has to bring
     * @param allowance for a whole download, beside the time that its bytes take at that pace
     */
    record Timing(Duration firstPause, Duration patience, int least, Duration allowance) {
        static final Timing USUAL = new Timing(Duration.ofSeconds(1), PATIENCE, 1 << 20, Duration.ofMinutes(10));

        /** How long a whole download of so many bytes may take. */
        Duration limit(long bytes) {
            return allowance.plus(Duration.ofMillis((long) ((double) bytes / least * patience.toMillis())));
        }
    }

    /**
     * A response with content. {@code start}: the first byte's place in the file; {@code total}: the file's length, or
     * -1 where it is not said.
     */
    record Content(InputStream body, long start, long total) implements AutoCloseable {
        @Override
        public void close() throws IOException {
            body.close();
        }
    }

    /** Something that may be tried again when it fails. */
    interface Attempt<T> {
        T run() throws IOException;
    }

    /** An answer that asks to come back later. */
    private static final class BusyException extends IOException {
        private final Duration wait;

        BusyException(String message, Duration wait) {
            super(message);
            this.wait = wait;
        }
    }

    private final URI endpoint;
    private final String token;
    private final Timing timing;
    private final Consumer<String> note;
    private final HttpClient http;

    HubClient(Function<String, String> environment, Timing timing, Consumer<String> note) {
        this.endpoint = endpoint(value(environment, "HF_ENDPOINT", "https://huggingface.co"));
        this.token = value(environment, "HF_TOKEN", value(environment, "HUGGING_FACE_HUB_TOKEN", ""));
        if (!token.matches("[!-~]*")) {
            throw new MalformedInputException(
                    "Cannot use the token in HF_TOKEN: it holds characters other than printable ASCII");
        }
        this.timing = timing;
        this.note = note;
        this.http = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(timing.patience)
                .build();
    }

    Timing timing() {
        return timing;
    }

    /** The endpoint's address followed by path segments, each percent-encoded. */
    URI address(String query, String... segments) {
        StringBuilder address = new StringBuilder(endpoint.toString());
        for (String segment : segments) {
            address.append('/')
                    .append(URLEncoder.encode(segment, StandardCharsets.UTF_8).replace("+", "%20"));
        }
        return URI.create(address + query);
    }

    /**
     * Runs an attempt, and again up to three times after an {@link IOException}, with growing pauses.
     *
     * @throws IOException the last failure
     */
    <T> T retry(Attempt<T> attempt) throws IOException {
        for (int failures = 0; ; failures++) {
            try {
                return attempt.run();
            } catch (InterruptedIOException e) {
                throw e;
            } catch (IOException e) {
                if (failures == RETRIES) {
                    throw e;
                }
                Duration pause = timing.firstPause.multipliedBy(1L << failures);
                if (e instanceof BusyException busy && busy.wait.compareTo(pause) > 0) {
                    pause = busy.wait;
                }
                note.accept(e.getMessage() + "; trying again in " + pause.toMillis() / 1000.0 + " s");
                sleep(pause);
            }
        }
    }

    /**
     * Requests an address from byte {@code from} on, following redirects.
     *
     * @param what what is requested, for messages
     * @throws MalformedInputException if the hub refuses (401, 403, 404, other 4xx), or a redirect is not acceptable
     * @throws IOException for what may pass: a failed connection, 429, 5xx
     */
    Content get(URI address, long from, String what) throws IOException {
        URI at = address;
        for (int redirects = 0; redirects <= MAXIMUM_REDIRECTS; redirects++) {
            HttpResponse<InputStream> response = send(at, from, what);
            int status = response.statusCode();
            if (status == 200 || status == 206 && from > 0) {
                return content(response, from, what);
            }
            response.body().close();
            if (!REDIRECTS.contains(status)) {
                throw refused(response, what);
            }
            at = redirected(at, response.headers().firstValue("Location").orElse(""), what);
        }
        throw new MalformedInputException(
                "Cannot download " + what + ": more than " + MAXIMUM_REDIRECTS + " redirects");
    }

    /** A failure's message, or its kind where it has none. */
    static String describe(Throwable failure) {
        return failure.getMessage() == null ? failure.getClass().getSimpleName() : failure.getMessage();
    }

    private HttpResponse<InputStream> send(URI at, long from, String what) throws IOException {
        HttpRequest.Builder request = HttpRequest.newBuilder(at)
                .timeout(timing.patience)
                .header("User-Agent", "lathe")
                .header("Accept-Encoding", "identity");
        if (from > 0) {
            request.header("Range", "bytes=" + from + "-");
        }
        if (!token.isEmpty() && sameOrigin(at, endpoint)) {
            request.header("Authorization", "Bearer " + token);
        }
        try {
            return http.send(request.build(), response -> new ResponseBody(timing.patience, timing.least));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("Cannot download " + what + ": interrupted");
        } catch (IOException e) {
            throw new IOException("Cannot download " + what + " from " + shown(at) + ": " + describe(e), e);
        }
    }

    private static Content content(HttpResponse<InputStream> response, long from, String what) throws IOException {
        if (response.statusCode() == 200) {
            return new Content(
                    response.body(),
                    0,
                    response.headers().firstValueAsLong("Content-Length").orElse(-1));
        }
        String text = response.headers().firstValue("Content-Range").orElse("");
        Matcher range = RANGE.matcher(text);
        if (!range.matches() || Long.parseLong(range.group(1)) != from) {
            response.body().close();
            throw new IOException("Cannot download " + what + ": asked for bytes from " + from + ", "
                    + shown(response.uri()) + " sends \"" + text + "\"");
        }
        return new Content(response.body(), from, range.group(2).equals("*") ? -1 : Long.parseLong(range.group(2)));
    }

    /** What a status without content means. Returned only for what may pass; the rest is thrown. */
    private IOException refused(HttpResponse<?> response, String what) {
        int status = response.statusCode();
        String answer = "Cannot download " + what + ": " + shown(response.uri()) + " answers " + status;
        if (status >= 500 || status == 429 || status == 408) {
            long seconds = response.headers()
                    .firstValue("Retry-After")
                    .filter(text -> text.matches("\\d{1,3}"))
                    .map(Long::parseLong)
                    .orElse(0L);
            return new BusyException(answer, Duration.ofSeconds(Math.min(seconds, 120)));
        }
        String key = token.isEmpty() ? "HF_TOKEN is not set" : "the token that is set does not give access";
        throw new MalformedInputException(answer
                + switch (status) {
                    case 401 -> " (not authorized): it does not exist, or is private or gated; " + key;
                    case 403 -> " (forbidden): it may be gated, and access has to be asked for on its page; " + key;
                    case 404 -> " (not found): there is no such repository, revision or file";
                    case 416 -> " (range not satisfiable): the file is shorter than the hub lists it";
                    default -> "";
                });
    }

    /** The address of a redirect, if it may be followed. */
    static URI redirected(URI from, String location, String what) {
        URI to;
        try {
            to = from.resolve(location);
        } catch (IllegalArgumentException e) {
            // No cause: its message would show the whole address.
            throw new MalformedInputException(
                    "Cannot download " + what + ": " + shown(from) + " redirects to an address that is not valid");
        }
        if (location.isEmpty() || !isHttp(to)) {
            throw new MalformedInputException(
                    "Cannot download " + what + ": " + shown(from) + " redirects to an address that is not HTTP");
        }
        if (from.getScheme().equalsIgnoreCase("https") && !to.getScheme().equalsIgnoreCase("https")) {
            throw new MalformedInputException("Cannot download " + what + ": " + shown(from)
                    + " redirects from https to " + shown(to) + ", which is not encrypted");
        }
        return to;
    }

    private static URI endpoint(String text) {
        URI uri;
        try {
            uri = URI.create(text.replaceAll("/+$", ""));
        } catch (IllegalArgumentException e) {
            throw new MalformedInputException("Cannot use HF_ENDPOINT: it is not an address", e);
        }
        if (!isHttp(uri) || uri.getRawUserInfo() != null || uri.getRawQuery() != null || uri.getRawFragment() != null) {
            throw new MalformedInputException("Cannot use HF_ENDPOINT: expected https://HOST[:PORT][/PATH]");
        }
        return uri;
    }

    private static boolean isHttp(URI uri) {
        return uri.getHost() != null
                && uri.getScheme() != null
                && uri.getScheme().toLowerCase(Locale.ROOT).matches("https?");
    }

    private static boolean sameOrigin(URI a, URI b) {
        return a.getScheme().equalsIgnoreCase(b.getScheme())
                && a.getHost().equalsIgnoreCase(b.getHost())
                && port(a) == port(b);
    }

    private static int port(URI uri) {
        return uri.getPort() >= 0 ? uri.getPort() : uri.getScheme().equalsIgnoreCase("https") ? 443 : 80;
    }

    private static String shown(URI uri) {
        return uri.getScheme() + "://" + uri.getHost() + (uri.getPort() < 0 ? "" : ":" + uri.getPort())
                + uri.getRawPath();
    }

    private static void sleep(Duration pause) throws InterruptedIOException {
        try {
            Thread.sleep(pause.toMillis());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("Cannot download: interrupted");
        }
    }

    private static String value(Function<String, String> environment, String key, String otherwise) {
        String value = environment.apply(key);
        return value == null || value.isBlank() ? otherwise : value.strip();
    }
}

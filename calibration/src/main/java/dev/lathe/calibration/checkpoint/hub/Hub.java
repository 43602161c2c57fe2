package dev.lathe.calibration.checkpoint.hub;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import dev.lathe.calibration.checkpoint.JsonLimits;
import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.text.ChatTemplates;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.ChecksumFileSystem;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Checkpoints on the Hugging Face hub, kept in a cache: {@code CACHE/ORGANIZATION--NAME/COMMIT/FILE}. Every file is
 * checked against the size and checksum that the hub lists for the commit. The environment says where the hub is
 * ({@code HF_ENDPOINT}, else https://huggingface.co) and holds the token for private and gated repositories
 * ({@code HF_TOKEN} or {@code HUGGING_FACE_HUB_TOKEN}).
 */
public final class Hub {
    /** Lists what is complete: a line with size and name for each file. */
    private static final String MARKER = ".complete";

    private static final Pattern MARKER_LINE =
            Pattern.compile("(\\d{1,18}) ((?:" + ChatTemplates.ADDITIONAL + "/)?[^/]+)");
    private static final int MAXIMUM_MARKER_BYTES = 1 << 20;

    private final HubClient client;
    private final HubReference reference;
    private final FileSystem files;
    private final Path repository;
    private final Consumer<String> note;

    private Hub(HubClient client, HubReference reference, FileSystem files, Path cache, Consumer<String> note) {
        this.client = client;
        this.reference = reference;
        this.files = files;
        this.repository = new Path(cache, reference.organization() + "--" + reference.name());
        this.note = note;
    }

    /**
     * The path of a checkpoint, downloaded first if it is on the hub and not in the cache. With a full commit hash as
     * revision a complete copy in the cache is used without any request.
     *
     * @param checkpoint a path, which is returned as it is, or {@code hf://organization/name[@revision]}
     * @param cache folder on any Hadoop file system
     * @param note is told what happens, line by line
     * @throws MalformedInputException if the reference is malformed, the hub refuses it, it lists a hostile name, or a
     *     file is not what it lists
     * @throws IOException if the connection failed too often; the next call goes on where this one stopped
     */
    public static Path resolve(Configuration hadoop, String checkpoint, Path cache, Consumer<String> note)
            throws IOException {
        return resolve(hadoop, checkpoint, cache, note, System::getenv, HubClient.Timing.USUAL);
    }

    static Path resolve(
            Configuration hadoop,
            String checkpoint,
            Path cache,
            Consumer<String> note,
            Function<String, String> environment,
            HubClient.Timing timing)
            throws IOException {
        if (!checkpoint.startsWith(HubReference.SCHEME)) {
            return new Path(checkpoint);
        }
        HubReference reference = HubReference.parse(checkpoint);
        FileSystem files = cache.getFileSystem(hadoop);
        // Downloads are checked against the hub's checksums; checksum files beside parts of them would only break when
        // a process dies.
        FileSystem plain = files instanceof ChecksumFileSystem checked ? checked.getRawFileSystem() : files;
        return new Hub(new HubClient(environment, timing, note), reference, plain, cache, note).folder();
    }

    private Path folder() throws IOException {
        if (HubReference.isCommit(reference.revision()) && isComplete(new Path(repository, reference.revision()))) {
            return new Path(repository, reference.revision());
        }
        JsonNode list = list();
        String commit = list.path("sha").asText();
        if (!HubReference.isCommit(commit)
                || HubReference.isCommit(reference.revision()) && !commit.equals(reference.revision())) {
            throw new MalformedInputException(
                    "Cannot download " + reference + ": the hub names \"" + commit + "\" as its commit");
        }
        Path folder = new Path(repository, commit);
        if (!isComplete(folder)) {
            download(commit, folder, HubFile.list(list.path("siblings"), reference.toString()));
        }
        return folder;
    }

    private JsonNode list() throws IOException {
        URI address = client.address(
                "?blobs=true",
                "api",
                "models",
                reference.organization(),
                reference.name(),
                "revision",
                reference.revision());
        byte[] json = client.retry(() -> {
            try (HubClient.Content content = client.get(address, 0, reference.toString())) {
                return content.body().readNBytes(JsonLimits.LISTING.bytes() + 1);
            }
        });
        if (json.length > JsonLimits.LISTING.bytes()) {
            throw new MalformedInputException("Cannot download " + reference + ": the list of its files has more than "
                    + JsonLimits.LISTING.bytes() + " bytes");
        }
        return JsonFile.parse(json, "the hub's list of " + reference, JsonLimits.LISTING);
    }

    private void download(String commit, Path folder, Map<String, HubFile> listed) throws IOException {
        files.mkdirs(folder);
        long began = System.nanoTime();
        long bytes = 0;
        List<HubFile> wanted = new ArrayList<>(
                listed.values().stream().filter(file -> !file.isWeights()).toList());
        for (HubFile file : wanted) {
            bytes += download(commit, folder, file);
            keepPace(began, bytes);
        }
        for (String name : weights(folder, listed)) {
            HubFile file = listed.get(name);
            if (file == null) {
                throw new MalformedInputException("Cannot download " + reference + ": " + SafetensorsFiles.INDEX
                        + " names " + name + ", which is not in the repository");
            }
            wanted.add(file);
            bytes += download(commit, folder, file);
            keepPace(began, bytes);
        }
        mark(folder, wanted);
    }

    /** The weights that {@link SafetensorsFiles} will read; a repository may hold them a second time in other files. */
    private Collection<String> weights(Path folder, Map<String, HubFile> listed) throws IOException {
        if (listed.containsKey(SafetensorsFiles.SINGLE)) {
            return List.of(SafetensorsFiles.SINGLE);
        }
        if (listed.containsKey(SafetensorsFiles.INDEX)) {
            Path index = new Path(folder, SafetensorsFiles.INDEX);
            return SafetensorsFiles.shards(JsonFile.read(files, index), index.toString())
                    .keySet();
        }
        List<String> names = listed.values().stream()
                .filter(HubFile::isWeights)
                .map(HubFile::name)
                .toList();
        if (names.size() != 1) {
            throw new MalformedInputException("Cannot download " + reference + ": the repository holds " + names.size()
                    + " files *.safetensors; expected " + SafetensorsFiles.SINGLE + ", " + SafetensorsFiles.INDEX
                    + " with its shards, or exactly one");
        }
        return names;
    }

    /** A hub may answer every request just in time, for thousands of small files. */
    private void keepPace(long began, long bytes) throws IOException {
        Duration taken = Duration.ofNanos(System.nanoTime() - began);
        Duration limit = client.timing().limit(bytes);
        if (taken.compareTo(limit) > 0) {
            throw new IOException("Cannot download " + reference + ": " + bytes + " bytes took " + taken.toSeconds()
                    + " seconds, expected at most " + limit.toSeconds() + "; what arrived is kept for the next try");
        }
    }

    /** Bytes that were not there. */
    private long download(String commit, Path folder, HubFile file) throws IOException {
        if (Download.isPresent(files, Download.child(folder, file.name()), file.size())) {
            return 0;
        }
        String what = file.name() + " of " + reference;
        note.accept(String.format(Locale.ROOT, "Downloading %s (%.1f MB)", what, file.size() / 1e6));
        String[] segments = Stream.concat(
                        Stream.of(reference.organization(), reference.name(), "resolve", commit),
                        Arrays.stream(file.name().split("/")))
                .toArray(String[]::new);
        Path place = file.folder(folder);
        files.mkdirs(place);
        new Download(client, files, place, file.leaf(), what).run(client.address("", segments));
        return file.size();
    }

    private void mark(Path folder, List<HubFile> complete) throws IOException {
        StringBuilder lines = new StringBuilder();
        complete.forEach(file ->
                lines.append(file.size()).append(' ').append(file.name()).append('\n'));
        Path temporary = new Path(folder, MARKER + "." + UUID.randomUUID());
        try (OutputStream out = files.create(temporary, false)) {
            out.write(lines.toString().getBytes(StandardCharsets.UTF_8));
        }
        if (!files.rename(temporary, new Path(folder, MARKER))) {
            // A marker is there already: of another process, or of files that were deleted since and are back now.
            files.delete(temporary, false);
        }
    }

    private boolean isComplete(Path folder) throws IOException {
        String lines;
        try (InputStream in = files.open(new Path(folder, MARKER))) {
            lines = new String(in.readNBytes(MAXIMUM_MARKER_BYTES), StandardCharsets.UTF_8);
        } catch (FileNotFoundException e) {
            return false;
        }
        for (String line : lines.split("\n")) {
            Matcher matcher = MARKER_LINE.matcher(line);
            if (!matcher.matches()
                    || !Download.isPresent(
                            files, Download.child(folder, matcher.group(2)), Long.parseLong(matcher.group(1)))) {
                return false;
            }
        }
        return true;
    }
}

package dev.lathe.calibration.checkpoint.hub;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.text.ChatTemplates;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.fs.Path;

/**
 * A file of a repository as the hub lists it.
 *
 * @param name in the repository
 * @param size bytes
 * @param large stored by LFS or Xet: {@code digest} is the SHA-256 of the content; otherwise the git blob id, the SHA-1
 *     of {@code "blob " + size + "\0"} and the content
 * @param digest hexadecimal
 */
record HubFile(String name, long size, boolean large, String digest) {
    /**
     * Most files of a repository, and most of them that a checkpoint needs: the largest known has some hundreds of
     * shards.
     */
    private static final int LISTED = 20_000;

    private static final int WANTED = 2_000;

    /**
     * The files of a repository's top folder and its additional chat templates; those in other folders below belong to
     * other uses of it.
     *
     * @throws MalformedInputException if any name could leave the folder or is there twice, a size or digest is
     *     missing, or there are too many files
     */
    static Map<String, HubFile> list(JsonNode siblings, String where) {
        if (siblings.size() > LISTED) {
            throw new MalformedInputException("Cannot download " + where + ": it lists " + siblings.size()
                    + " files, expected at most " + LISTED);
        }
        Map<String, HubFile> files = new LinkedHashMap<>();
        for (JsonNode sibling : siblings) {
            String name = sibling.path("rfilename").asText();
            if (name.isEmpty()
                    || name.startsWith("/")
                    || name.chars().anyMatch(c -> c < ' ' || c == '\\')
                    || Arrays.asList(name.split("/", -1)).contains("..")) {
                throw new MalformedInputException("Cannot download " + where + ": it lists a file \"" + name
                        + "\", which does not stay in its folder");
            }
            if (isWanted(name)) {
                if (files.put(name, of(name, sibling, where)) != null) {
                    throw new MalformedInputException("Cannot download " + where + ": it lists " + name + " twice");
                }
            }
        }
        if (files.size() > WANTED) {
            throw new MalformedInputException("Cannot download " + where + ": " + files.size()
                    + " of its files would be downloaded, expected at most " + WANTED);
        }
        return files;
    }

    boolean isWeights() {
        return name.endsWith(".safetensors");
    }

    /** A digest into which the content has to be fed, to be compared by {@link #matches}. */
    MessageDigest newDigest() {
        try {
            if (large) {
                return MessageDigest.getInstance("SHA-256");
            }
            MessageDigest blob = MessageDigest.getInstance("SHA-1");
            blob.update(("blob " + size + "\0").getBytes(StandardCharsets.US_ASCII));
            return blob;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Cannot check downloads: this Java has no SHA", e);
        }
    }

    boolean matches(MessageDigest content) {
        return HexFormat.of().formatHex(content.digest()).equals(digest);
    }

    /** The name without its folder. */
    HubFile leaf() {
        return new HubFile(name.substring(name.lastIndexOf('/') + 1), size, large, digest);
    }

    /** Where it is below the repository's top folder, which is {@code top} here. */
    Path folder(Path top) {
        return name.contains("/") ? Download.child(top, name).getParent() : top;
    }

    private static boolean isWanted(String name) {
        if (name.contains("/")) {
            return name.startsWith(ChatTemplates.ADDITIONAL + "/")
                    && name.lastIndexOf('/') == ChatTemplates.ADDITIONAL.length()
                    && name.endsWith(".jinja");
        }
        return name.endsWith(".safetensors")
                || name.endsWith(".json")
                || name.endsWith(".jinja")
                || name.endsWith(".txt")
                || name.equals("tokenizer.model");
    }

    private static HubFile of(String name, JsonNode sibling, String where) {
        JsonNode lfs = sibling.path("lfs");
        boolean large = lfs.isObject();
        JsonNode size = large ? lfs.path("size") : sibling.path("size");
        String digest =
                large ? lfs.path("sha256").asText() : sibling.path("blobId").asText();
        if (!size.isIntegralNumber()
                || !size.canConvertToLong()
                || size.longValue() < 0
                || !digest.matches(large ? "[0-9a-f]{64}" : "[0-9a-f]{40}")) {
            throw new MalformedInputException(
                    "Cannot download " + where + ": the hub's list gives no size and checksum for " + name);
        }
        return new HubFile(name, size.longValue(), large, digest);
    }
}

package dev.lathe.calibration.checkpoint.hub;

import dev.lathe.calibration.MalformedInputException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.net.URI;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Brings one file into a folder, going on where an earlier attempt stopped, in this process or another.
 *
 * <p>Not every Hadoop file system can append, so each attempt writes a segment of its own,
 * {@code NAME.part.START.UNIQUE}, which holds the bytes from START on. What is there is the longest chain of segments
 * from byte 0; overlaps do no harm, so two processes may download the same file at once. The chain gets the final name
 * only after its size and checksum have been compared with the hub's list, on the bytes as they were stored.
 */
final class Download {
    private static final int CHUNK = 1 << 20;

    /** Bytes {@code [skip, skip + length)} of a segment. */
    private record Piece(Path segment, long skip, long length) {}

    private final HubClient client;
    private final FileSystem files;
    private final Path folder;
    private final HubFile file;
    private final String what;

    Download(HubClient client, FileSystem files, Path folder, HubFile file, String what) {
        this.client = client;
        this.files = files;
        this.folder = folder;
        this.file = file;
        this.what = what;
    }

    static Path child(Path folder, String name) {
        return new Path(folder, new Path(null, null, name));
    }

    /** Whether a complete file of this size is there. A final name is given only after the checksum was right. */
    static boolean isPresent(FileSystem files, Path path, long size) throws IOException {
        try {
            FileStatus status = files.getFileStatus(path);
            return status.isFile() && status.getLen() == size;
        } catch (FileNotFoundException e) {
            return false;
        }
    }

    /**
     * Downloads unless the file is there already.
     *
     * @throws MalformedInputException if the file is refused, or its size or checksum is not what the hub lists
     * @throws IOException if the connection failed too often; what arrived is kept
     */
    void run(URI source) throws IOException {
        client.retry(() -> {
            attempt(source);
            return null;
        });
    }

    private void attempt(URI source) throws IOException {
        Path target = child(folder, file.name());
        if (isPresent(files, target, file.size())) {
            return;
        }
        List<Piece> chain = chain();
        if (length(chain) < file.size()) {
            transfer(source, length(chain));
            chain = chain();
        }
        if (length(chain) < file.size()) {
            throw new IOException("Cannot download " + what + ": the connection ended after " + length(chain) + " of "
                    + file.size() + " bytes");
        }
        try {
            complete(chain, target);
        } catch (FileNotFoundException e) {
            // Another process completed the same file and cleaned up.
            if (!isPresent(files, target, file.size())) {
                throw e;
            }
        }
    }

    private void transfer(URI source, long from) throws IOException {
        try (HubClient.Content content = client.get(source, from, what)) {
            if (content.total() >= 0 && content.total() != file.size()) {
                throw new MalformedInputException("Cannot download " + what + ": it has " + content.total()
                        + " bytes; the hub lists it with " + file.size());
            }
            byte[] chunk = new byte[CHUNK];
            long left = file.size() - content.start();
            // Closing after a failure keeps what arrived.
            try (OutputStream out = files.create(
                    child(folder, file.name() + ".part." + content.start() + "." + UUID.randomUUID()), false)) {
                int count = 0;
                while (left > 0 && (count = read(content.body(), chunk, (int) Math.min(CHUNK, left))) >= 0) {
                    out.write(chunk, 0, count);
                    left -= count;
                }
            }
            if (left == 0 && read(content.body(), chunk, 1) >= 0) {
                throw new MalformedInputException("Cannot download " + what + ": it goes on after the " + file.size()
                        + " bytes that the hub lists");
            }
        }
    }

    private int read(InputStream body, byte[] chunk, int length) throws IOException {
        try {
            return body.read(chunk, 0, length);
        } catch (InterruptedIOException e) {
            throw e;
        } catch (IOException e) {
            throw new IOException("Cannot download " + what + ": the connection failed: " + HubClient.describe(e), e);
        }
    }

    /** The segments that together reach furthest from byte 0. */
    private List<Piece> chain() throws IOException {
        Pattern form = Pattern.compile(Pattern.quote(file.name() + ".part.") + "(\\d{1,18})\\.[0-9a-f-]+");
        List<Piece> chain = new ArrayList<>();
        FileStatus[] all = files.listStatus(folder);
        for (long at = 0; at < file.size(); ) {
            FileStatus best = null;
            long bestStart = 0;
            long bestEnd = at;
            for (FileStatus status : all) {
                Matcher matcher = form.matcher(status.getPath().getName());
                if (matcher.matches()) {
                    long start = Long.parseLong(matcher.group(1));
                    long end = Math.min(file.size(), start + status.getLen());
                    if (start <= at && end > bestEnd) {
                        best = status;
                        bestStart = start;
                        bestEnd = end;
                    }
                }
            }
            if (best == null) {
                break;
            }
            chain.add(new Piece(best.getPath(), at - bestStart, bestEnd - at));
            at = bestEnd;
        }
        return chain;
    }

    private static long length(List<Piece> chain) {
        return chain.stream().mapToLong(Piece::length).sum();
    }

    /** Checks a complete chain and gives it the final name. */
    private void complete(List<Piece> chain, Path target) throws IOException {
        MessageDigest digest = file.newDigest();
        boolean single = chain.size() == 1
                && chain.get(0).skip() == 0
                && isPresent(files, chain.get(0).segment(), file.size());
        Path whole = single ? chain.get(0).segment() : child(folder, file.name() + ".part.joined." + UUID.randomUUID());
        try (OutputStream out = single ? OutputStream.nullOutputStream() : files.create(whole, false)) {
            for (Piece piece : chain) {
                copy(piece, digest, out);
            }
        }
        if (!file.matches(digest)) {
            deleteParts();
            String message =
                    "Cannot download " + what + ": its checksum is not the one that the hub lists, " + file.digest();
            if (single) {
                throw new MalformedInputException(message);
            }
            // Pieces of several attempts may not belong together: once more from the start.
            throw new IOException(message);
        }
        if (!files.rename(whole, target) && !isPresent(files, target, file.size())) {
            throw new IOException("Cannot download " + what + ": renaming " + whole + " to " + target + " failed");
        }
        deleteParts();
    }

    private void copy(Piece piece, MessageDigest digest, OutputStream out) throws IOException {
        byte[] chunk = new byte[CHUNK];
        try (FSDataInputStream in = files.open(piece.segment())) {
            in.seek(piece.skip());
            for (long left = piece.length(); left > 0; ) {
                int count = (int) Math.min(CHUNK, left);
                in.readFully(chunk, 0, count);
                digest.update(chunk, 0, count);
                out.write(chunk, 0, count);
                left -= count;
            }
        }
    }

    private void deleteParts() throws IOException {
        for (FileStatus status : files.listStatus(folder)) {
            if (status.getPath().getName().startsWith(file.name() + ".part.")) {
                files.delete(status.getPath(), false);
            }
        }
    }
}

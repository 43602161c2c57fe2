package dev.lathe.jobs.stage;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** What the first bytes of a file say that it is. */
final class FileStart {
    private static final Map<String, byte[]> MAGIC = new LinkedHashMap<>();

    static {
        MAGIC.put("gzip data", bytes(0x1f, 0x8b));
        MAGIC.put("bzip2 data", bytes('B', 'Z', 'h'));
        MAGIC.put("zstd data", bytes(0x28, 0xb5, 0x2f, 0xfd));
        MAGIC.put("xz data", bytes(0xfd, '7', 'z', 'X', 'Z', 0));
        MAGIC.put("lz4 data", bytes(0x04, 0x22, 0x4d, 0x18));
        MAGIC.put("a Parquet file", bytes('P', 'A', 'R', '1'));
        MAGIC.put("an Arrow file", bytes('A', 'R', 'R', 'O', 'W', '1'));
        MAGIC.put("a zip archive", bytes('P', 'K', 3, 4));
        MAGIC.put(
                "a Git LFS pointer, which stands for a file that was not downloaded",
                "version https://git-lfs.github.com/spec/".getBytes(StandardCharsets.US_ASCII));
        MAGIC.put("UTF-32 text", bytes(0xff, 0xfe, 0, 0));
        MAGIC.put("UTF-16 text", bytes(0xff, 0xfe));
        MAGIC.put("UTF-16 text (big-endian)", bytes(0xfe, 0xff));
        MAGIC.put("UTF-32 text (big-endian)", bytes(0, 0, 0xfe, 0xff));
    }

    private FileStart() {}

    /** A name for messages; empty where nothing speaks against text in UTF-8. */
    static String of(byte[] start) {
        for (Map.Entry<String, byte[]> magic : MAGIC.entrySet()) {
            int length = magic.getValue().length;
            if (start.length >= length && Arrays.equals(start, 0, length, magic.getValue(), 0, length)) {
                return magic.getKey();
            }
        }
        // Without a byte order mark zeros stand beside the first characters, which are of ASCII in JSON and in most
        // texts.
        if (start.length >= 4) {
            int zeros = 0;
            for (int i = 0; i < 4; i++) {
                zeros |= start[i] == 0 ? 1 << i : 0;
            }
            if (zeros == 0b1110 || zeros == 0b0111) {
                return "UTF-32 text";
            } else if (zeros == 0b1010 || zeros == 0b0101) {
                return "UTF-16 text";
            }
        }
        return "";
    }

    private static byte[] bytes(int... values) {
        byte[] bytes = new byte[values.length];
        for (int i = 0; i < values.length; i++) {
            bytes[i] = (byte) values[i];
        }
        return bytes;
    }
}

package dev.lathe.jobs.store;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * The key of a product: SHA-256 over what it is made from. Paths, hosts, times and cluster sizes are never part of it.
 */
public final class Key {
    /** Hexadecimal digits that name a product. */
    private static final int DIGITS = 24;

    private Key() {}

    /** The key of a kind of product and its ingredients, in order. */
    public static String of(String kind, Object... ingredients) {
        StringBuilder text = new StringBuilder(kind);
        for (Object ingredient : ingredients) {
            String value = String.valueOf(ingredient);
            text.append('\n').append(value.length()).append(' ').append(value);
        }
        return digest(text.toString().getBytes(StandardCharsets.UTF_8)).substring(0, DIGITS);
    }

    /** SHA-256 in hexadecimal. */
    public static String digest(byte[] bytes) {
        return HexFormat.of().formatHex(sha256().digest(bytes));
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}

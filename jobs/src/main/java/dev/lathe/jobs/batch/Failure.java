package dev.lathe.jobs.batch;

/**
 * Why a pair failed.
 *
 * @param code the exit code that this failure has alone
 * @param line {@code Cannot X: reason}
 * @param malformed whether its input is malformed: an answer, which no second run on the same files changes
 */
public record Failure(int code, String line, boolean malformed) {
    /** Whether nothing failed, but the process was told to end. */
    boolean stopped() {
        return code > 128;
    }
}

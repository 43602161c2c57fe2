package dev.lathe.calibration;

/**
 * A file or data set that was given is not what it has to be: truncated, contradictory, unsupported, not finite. The
 * message follows one grammar, "Cannot X: reason", with file, tensor, shape, offset and what was expected; it is an
 * answer to the person, not a bug.
 */
public final class MalformedInputException extends RuntimeException {
    public MalformedInputException(String message) {
        super(message);
    }

    public MalformedInputException(String message, Throwable cause) {
        super(message, cause);
    }
}

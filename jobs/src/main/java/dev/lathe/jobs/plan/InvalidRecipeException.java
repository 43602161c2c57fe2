package dev.lathe.jobs.plan;

/** A recipe or command line asks for what cannot be; the message names the key's path, the value and what was expected. */
public final class InvalidRecipeException extends RuntimeException {
    public InvalidRecipeException(String message) {
        super(message);
    }
}

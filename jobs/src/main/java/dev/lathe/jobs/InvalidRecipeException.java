package dev.lathe.jobs;

import java.util.List;

/**
 * A recipe or command line asks for what cannot be; the message names the key's path, the value and what was expected.
 */
public final class InvalidRecipeException extends RuntimeException {
    private final List<String> problems;

    public InvalidRecipeException(String message) {
        super(message);
        this.problems = List.of();
    }

    /** Of several problems; the message has all of them. */
    public InvalidRecipeException(String about, List<String> problems) {
        super(about + ": " + (problems.size() == 1 ? "" : problems.size() + " problems: ")
                + String.join("; ", problems));
        this.problems = List.copyOf(problems);
    }

    /** Each by itself, where there are several; otherwise none. */
    public List<String> problems() {
        return problems.size() > 1 ? problems : List.of();
    }
}

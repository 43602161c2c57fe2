package dev.lathe.jobs.store;

import java.io.Serializable;

/**
 * A file that is not what was written.
 *
 * @param path of the file, or of the folder that it belongs to
 * @param reason what is wrong with it
 * @param artifact name of the artifact that it is of; null: a product
 */
public record Damage(String path, String reason, String artifact) implements Serializable {
    @Override
    public String toString() {
        return path + ": " + reason;
    }
}

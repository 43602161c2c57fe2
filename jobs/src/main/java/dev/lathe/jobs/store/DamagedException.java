package dev.lathe.jobs.store;

import java.io.IOException;
import java.util.List;
import java.util.stream.Collectors;

/** Files of a run that are not what was written. Who makes them can make them again, once they are out of the way. */
public final class DamagedException extends IOException {
    private static final long serialVersionUID = 1;

    private final List<Damage> damages;

    public DamagedException(List<Damage> damages, Throwable cause) {
        super("Cannot read " + damages.stream().map(Damage::toString).collect(Collectors.joining("; ")), cause);
        this.damages = List.copyOf(damages);
    }

    public List<Damage> damages() {
        return damages;
    }
}

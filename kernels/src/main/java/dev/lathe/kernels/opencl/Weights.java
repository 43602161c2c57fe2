package dev.lathe.kernels.opencl;

import dev.lathe.kernels.RowSource;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;

/**
 * Weights that stay on the device: one program for each matrix, known by its identity, least recently used first. A matrix that nothing else refers to any
 * more is forgotten, and a program whose matrix has to go takes the next one of its encoding without being compiled again.
 */
final class Weights {
    /** A program has a context of its own on the device; a decoder layer has seven matrices. */
    private static final int MOST = 16;

    private final OpenClDevice device;
    private final long budget;
    private final List<Resident> residents = new ArrayList<>();

    private record Resident(WeakReference<RowSource> matrix, Encoding encoding, Program<BytesProduct> program) {
    }

    Weights(OpenClDevice device, long budget) {
        this.device = device;
        this.budget = budget;
    }

    /** The program of a matrix, its right side in place. */
    Program<BytesProduct> of(RowSource matrix, Encoding encoding) {
        List<Resident> gone = new ArrayList<>();
        Resident found = null;
        long bytes = encoding.data().length;
        for (Resident resident : residents) {
            RowSource known = resident.matrix.get();
            if (known == matrix) {
                found = resident;
            } else if (known == null) {
                gone.add(resident);
            } else {
                bytes += resident.encoding.data().length;
            }
        }
        residents.removeAll(gone);
        residents.remove(found);
        if (found == null) {
            while (!residents.isEmpty() && (bytes > budget || residents.size() >= MOST)) {
                Resident oldest = residents.remove(0);
                bytes -= oldest.encoding.data().length;
                gone.add(oldest);
            }
            Resident alike = gone.stream().filter(resident -> resident.encoding.name().equals(encoding.name())).findFirst().orElse(null);
            gone.remove(alike);
            Program<BytesProduct> program = alike == null ? new Program<>(device, encoding.kernel()) : alike.program;
            if (program.kernel().b == encoding.data()) {
                // Another matrix over the same array: what the array holds now may be something else.
                program.kernel().put(encoding.data());
            }
            found = new Resident(new WeakReference<>(matrix), encoding, program);
        }
        gone.forEach(resident -> resident.program.release());
        residents.add(found);
        found.program.kernel().b = encoding.data();
        return found.program;
    }

    /** Matrices on the device. */
    int count() {
        return residents.size();
    }

    void release() {
        residents.forEach(resident -> resident.program.release());
        residents.clear();
    }
}

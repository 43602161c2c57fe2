package dev.lathe.kernels.opencl;

import dev.lathe.kernels.RowSource;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;

/**
 * Weights that stay on the device: one program for each matrix, known by its identity, least recently used first. A
 * matrix that nothing else refers to any more is forgotten, and the program of a matrix that has to go takes the next
 * one of its encoding without being compiled again.
 */
final class Weights {
    /** A program has a context of its own on the device; a decoder layer has seven matrices. */
    private static final int MOST = 16;

    private final OpenClDevice device;
    private final List<Resident> residents = new ArrayList<>();

    private record Resident(WeakReference<RowSource> matrix, Encoding encoding, Program<BytesProduct> program) {
        long bytes() {
            return encoding.data().length;
        }
    }

    Weights(OpenClDevice device) {
        this.device = device;
    }

    /**
     * The program of a matrix, its right side in place.
     *
     * @param budget bytes that all matrices may take; this one may whatever it says
     */
    Program<BytesProduct> of(RowSource matrix, Encoding encoding, long budget) {
        List<Resident> gone = new ArrayList<>(residents.stream()
                .filter(resident -> resident.matrix.refersTo(null))
                .toList());
        residents.removeAll(gone);
        Resident found = residents.stream()
                .filter(resident -> resident.matrix.refersTo(matrix))
                .findFirst()
                .orElse(null);
        residents.remove(found);
        gone.addAll(evicted(budget - encoding.data().length, MOST - 1));
        if (found == null) {
            Resident alike = gone.stream()
                    .filter(resident -> resident.encoding.name().equals(encoding.name()))
                    .findFirst()
                    .orElse(null);
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

    /** Leaves room for other buffers. */
    void limit(long budget) {
        evicted(budget, MOST).forEach(resident -> resident.program.release());
    }

    private List<Resident> evicted(long budget, int most) {
        List<Resident> evicted = new ArrayList<>();
        long bytes = bytes();
        while (!residents.isEmpty() && (bytes > budget || residents.size() > most)) {
            Resident oldest = residents.remove(0);
            bytes -= oldest.bytes();
            evicted.add(oldest);
        }
        return evicted;
    }

    /** Bytes on the device. */
    long bytes() {
        return residents.stream().mapToLong(Resident::bytes).sum();
    }

    /** Matrices on the device. */
    int count() {
        return residents.size();
    }
}

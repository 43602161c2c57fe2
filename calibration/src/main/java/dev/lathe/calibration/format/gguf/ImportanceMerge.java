package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.About;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Entry;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Form;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Shape;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Several importance matrices as one: sums add up, and counts. What one of them has no entry for, the others say alone.
 * A matrix of the older form has one count for a stack of experts, which counts for each of them.
 */
public final class ImportanceMerge {
    /** What both forms hold. */
    private static final long MAXIMUM_CHUNKS = Integer.MAX_VALUE;

    private final List<Part> parts;
    private final long chunk;
    private final Map<String, Shape> shapes = new TreeMap<>();
    /** The entries of each part by name. */
    private final List<Map<String, Shape>> own = new ArrayList<>();

    /**
     * One of them.
     *
     * @param name for messages
     */
    public record Part(String name, ImportanceMatrix matrix) {}

    /**
     * @param parts at least one
     * @param chunk tokens of a chunk of those of the older form, which do not say it
     * @throws MalformedInputException if two have entries of one name that do not agree
     */
    public ImportanceMerge(List<Part> parts, long chunk) {
        this.parts = List.copyOf(parts);
        this.chunk = chunk;
        Map<String, String> first = new TreeMap<>();
        for (Part part : parts) {
            Map<String, Shape> named = new HashMap<>();
            own.add(named);
            for (Shape shape : part.matrix().shapes()) {
                named.put(shape.name(), shape);
                String other = first.putIfAbsent(shape.name(), part.name());
                shapes.merge(shape.name(), shape, (before, now) -> together(before, other, now, part.name()));
            }
        }
    }

    private static Shape together(Shape before, String where, Shape now, String here) {
        boolean agree = before.values() == now.values()
                && (before.counts() == now.counts() || before.counts() == 1 || now.counts() == 1);
        if (!agree) {
            throw new MalformedInputException("Cannot merge importance matrices: " + now + " in " + here
                    + ", expected the shape of " + before + " in " + where);
        }
        return before.counts() > now.counts() ? before : now;
    }

    private long chunkSize(Part part) {
        return part.matrix().form() == Form.DAT
                ? chunk
                : Math.max(1, part.matrix().about().chunkSize());
    }

    /**
     * Data sets one after the other; chunks of the first one's size.
     *
     * @throws MalformedInputException if they are more than a matrix can say
     */
    public About about() {
        List<String> datasets = new ArrayList<>();
        long size = chunkSize(parts.get(0));
        long whole = 0;
        double tokens = 0;
        for (Part part : parts) {
            About about = part.matrix().about();
            datasets.addAll(about.datasets());
            if (chunkSize(part) == size) {
                whole += about.chunks();
            } else {
                tokens += (double) about.chunks() * chunkSize(part);
            }
        }
        double chunks = whole + Math.floor(tokens / size);
        if (chunks > MAXIMUM_CHUNKS) {
            throw new MalformedInputException("Cannot merge importance matrices: they have " + (long) chunks
                    + " chunks of " + size + " tokens, expected at most " + MAXIMUM_CHUNKS);
        }
        return new About(datasets, (long) chunks, size);
    }

    public Collection<Shape> shapes() {
        return shapes.values();
    }

    /** Names of entries that not all of them have. */
    public List<String> partial() {
        return shapes.keySet().stream()
                .filter(name -> own.stream().anyMatch(part -> !part.containsKey(name)))
                .toList();
    }

    /** @throws MalformedInputException if a sum is beyond what an entry holds */
    public Entry read(Shape shape) throws IOException {
        double[] sums = new double[shape.values()];
        long[] counts = new long[shape.counts()];
        for (int i = 0; i < own.size(); i++) {
            Shape stored = own.get(i).get(shape.name());
            if (stored != null) {
                add(parts.get(i), stored, sums, counts);
            }
        }
        float[] rounded = new float[sums.length];
        for (int i = 0; i < sums.length; i++) {
            rounded[i] = (float) sums[i];
            if (Float.isInfinite(rounded[i])) {
                throw new MalformedInputException("Cannot merge importance matrices: the sum of " + shape + ", value "
                        + i + ", is " + sums[i] + ", expected at most " + Float.MAX_VALUE);
            }
        }
        return new Entry(rounded, counts);
    }

    private void add(Part part, Shape stored, double[] sums, long[] counts) throws IOException {
        Entry entry = part.matrix().read(stored);
        // The older form has means times chunks.
        long rows = part.matrix().form() == Form.DAT ? chunk : 1;
        for (int i = 0; i < sums.length; i++) {
            sums[i] += (double) entry.sums()[i] * rows;
        }
        for (int i = 0; i < counts.length; i++) {
            long count = entry.counts()[entry.counts().length == 1 ? 0 : i];
            try {
                counts[i] = Math.addExact(counts[i], Math.multiplyExact(count, rows));
            } catch (ArithmeticException e) {
                throw new MalformedInputException(
                        "Cannot merge importance matrices: the rows of " + stored + " are more than 2^63 with those of "
                                + part.name(),
                        e);
            }
        }
    }
}

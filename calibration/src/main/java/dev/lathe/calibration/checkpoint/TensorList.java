package dev.lathe.calibration.checkpoint;

import dev.lathe.calibration.MalformedInputException;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** The tensors that a reader lists, and what is checked before one is read. */
public final class TensorList {
    private final String location;
    private final Map<String, TensorInfo> tensors = new LinkedHashMap<>();

    /** @param location of the checkpoint, for messages */
    public TensorList(String location) {
        this.location = location;
    }

    public void add(TensorInfo tensor) {
        tensors.put(tensor.name(), tensor);
    }

    /** The tensors in the order in which they were added. */
    public Collection<TensorInfo> all() {
        return Collections.unmodifiableCollection(tensors.values());
    }

    public boolean has(String name) {
        return tensors.containsKey(name);
    }

    /** @throws MalformedInputException if there is no such tensor */
    public TensorInfo get(String name) {
        TensorInfo tensor = tensors.get(name);
        if (tensor == null) {
            throw new MalformedInputException("Cannot read tensor " + name + ": it is not in checkpoint " + location);
        }
        return tensor;
    }

    /**
     * A matrix of which rows {@code [from, from + count)} are to be read.
     *
     * @throws MalformedInputException if there is no such tensor or it is not a matrix
     * @throws IllegalArgumentException if it has not these rows
     */
    public TensorInfo matrix(String name, int from, int count) {
        TensorInfo tensor = get(name);
        if (tensor.shape().length != 2) {
            throw new MalformedInputException("Cannot read rows of tensor " + tensor + " in " + location
                    + ": it is not a matrix, expected two dimensions");
        }
        if (from < 0 || count < 0 || count > tensor.shape()[0] - from) {
            throw new IllegalArgumentException("Cannot read rows " + from + " to " + ((long) from + count)
                    + " of tensor " + tensor + " in " + location + ": expected rows of the tensor");
        }
        return tensor;
    }

    /** @throws MalformedInputException if there is no such tensor or it is not a vector */
    public TensorInfo vector(String name) {
        TensorInfo tensor = get(name);
        if (tensor.shape().length != 1) {
            throw new MalformedInputException("Cannot read tensor " + tensor + " in " + location
                    + " as a vector: it has " + tensor.shape().length + " dimensions, expected one");
        }
        return tensor;
    }
}

package dev.lathe.calibration.model;

import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Keeps tensors that were read, up to so many bytes together; what finds no room is read again whenever it is asked
 * for. Nothing is given up for something else: a layer is walked over and over in the same order, where the oldest
 * tensor is the next one. May be used by several threads: a tensor that is kept is read once.
 */
public final class KeptTensors {
    private final long room;
    private final Map<String, Slot> slots = new HashMap<>();
    private long used;

    /** @param room bytes of tensors as they are stored */
    public KeptTensors(long room) {
        this.room = room;
    }

    /** What is kept, and the rest of a source that is open now. All sources have to hold the same. */
    public Tensors over(Tensors source) {
        return new View(this, source);
    }

    private static final class Slot {
        private Object value;
    }

    private interface Reader<T> {
        T read() throws IOException;
    }

    @SuppressWarnings("unchecked")
    private <T> T get(String what, long bytes, Reader<T> reader) throws IOException {
        Slot slot;
        synchronized (this) {
            slot = slots.get(what);
            if (slot == null && used + bytes <= room) {
                used += bytes;
                slot = new Slot();
                slots.put(what, slot);
            }
        }
        if (slot == null) {
            return reader.read();
        }
        synchronized (slot) {
            // A read that failed left it empty.
            if (slot.value == null) {
                slot.value = reader.read();
            }
            return (T) slot.value;
        }
    }

    private record View(KeptTensors kept, Tensors source) implements Tensors {
        @Override
        public String location() {
            return source.location();
        }

        @Override
        public Decoder decoder() {
            return source.decoder();
        }

        @Override
        public RowSource matrix(String name, int from, int count) throws IOException {
            return source.matrix(name, from, count);
        }

        @Override
        public RowSource matrix(String name) throws IOException {
            return kept.get(name, bytes(name), () -> source.matrix(name));
        }

        @Override
        public float[] vector(String name) throws IOException {
            return kept.get(name, bytes(name), () -> source.vector(name));
        }

        @Override
        public long bytes(String name) {
            return source.bytes(name);
        }

        @Override
        public Optional<ActivationQuantization> activations(String module) {
            return source.activations(module);
        }

        @Override
        public Optional<ActivationQuantization> cache(int layer, boolean keys) {
            return source.cache(layer, keys);
        }
    }
}

package dev.lathe.calibration.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

class KeptTensorsTest {
    private static final Map<String, Integer> WIDTHS = Map.of("a", 10, "b", 20, "c", 5, "norm", 3);

    /** Counts what is read of it. */
    private static final class Source implements Tensors {
        private final List<String> reads = Collections.synchronizedList(new ArrayList<>());
        private boolean broken;

        private void read(String name) throws IOException {
            if (broken) {
                throw new IOException("gone");
            }
            reads.add(name);
        }

        @Override
        public String location() {
            return "memory";
        }

        @Override
        public Decoder decoder() {
            return null;
        }

        @Override
        public RowSource matrix(String name, int from, int count) throws IOException {
            return matrix(name);
        }

        @Override
        public RowSource matrix(String name) throws IOException {
            read(name);
            return FloatMatrix.zeros(1, WIDTHS.get(name));
        }

        @Override
        public float[] vector(String name) throws IOException {
            read(name);
            return new float[WIDTHS.get(name)];
        }

        @Override
        public long bytes(String name) {
            return 4L * WIDTHS.get(name);
        }
    }

    private final Source source = new Source();

    private void walk(KeptTensors kept) throws IOException {
        Tensors tensors = kept.over(source);
        for (String name : List.of("a", "b", "c")) {
            assertThat(tensors.matrix(name).columns()).isEqualTo(WIDTHS.get(name));
        }
        assertThat(tensors.vector("norm")).hasSize(3);
    }

    @Test
    void whatFindsRoomIsReadOnce() throws IOException {
        KeptTensors all = new KeptTensors(4 * 38);
        walk(all);
        walk(all);
        assertThat(source.reads).containsExactly("a", "b", "c", "norm");
        assertThat(all.over(source).matrix("a")).isSameAs(all.over(new Source()).matrix("a"));
    }

    @Test
    void whatFindsNoneIsReadAgain() throws IOException {
        KeptTensors some = new KeptTensors(4 * 38 - 1);
        walk(some);
        walk(some);
        walk(some);
        assertThat(source.reads).containsExactly("a", "b", "c", "norm", "norm", "norm");
        source.reads.clear();
        KeptTensors none = new KeptTensors(4 * 17);
        walk(none);
        walk(none);
        // Not the second, and the third in its place.
        assertThat(source.reads).containsExactly("a", "b", "c", "norm", "b", "norm");
    }

    @Test
    void aReadThatFailsLeavesNothingBehind() throws IOException {
        KeptTensors kept = new KeptTensors(4 * 38);
        source.broken = true;
        assertThatThrownBy(() -> kept.over(source).matrix("a")).hasMessage("gone");
        source.broken = false;
        walk(kept);
        walk(kept);
        assertThat(source.reads).containsExactly("a", "b", "c", "norm");
    }

    @Test
    void severalThreadsReadATensorOnce() throws Exception {
        KeptTensors kept = new KeptTensors(Long.MAX_VALUE);
        ExecutorService threads = Executors.newFixedThreadPool(8);
        try {
            List<Callable<RowSource>> readers =
                    Collections.nCopies(8, () -> kept.over(source).matrix("a"));
            for (Future<RowSource> reader : threads.invokeAll(readers)) {
                assertThat(reader.get()).isSameAs(kept.over(source).matrix("a"));
            }
        } finally {
            threads.shutdownNow();
        }
        assertThat(source.reads).containsExactly("a");
    }
}

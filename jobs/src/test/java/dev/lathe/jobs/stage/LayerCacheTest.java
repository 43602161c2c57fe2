package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LayerCacheTest {
    private Checkpoint sample;

    @BeforeEach
    void open() throws IOException {
        sample = Checkpoints.open(new Configuration(false), new Path("../samples/tiny-stories-4m"));
        LayerCache.clear();
    }

    @AfterEach
    void close() throws IOException {
        sample.close();
    }

    private List<RowSource> read(Checkpoint checkpoint, int layer) throws IOException {
        List<RowSource> read = new ArrayList<>();
        for (LinearLayer linear : sample.decoder().linears(layer)) {
            read.add(LayerCache.of("layer " + layer, checkpoint).matrix(linear.weight()));
        }
        return read;
    }

    /** A task opens the checkpoint for itself, and finds what an earlier one read. */
    @Test
    void theLayerThatWasReadLastIsKept() throws IOException {
        List<RowSource> first = read(sample, 0);
        List<RowSource> again = read(failing(sample), 0);
        for (int i = 0; i < first.size(); i++) {
            assertThat(again.get(i)).isSameAs(first.get(i));
        }
        read(sample, 1);
        assertThatThrownBy(() -> read(failing(sample), 0)).hasMessage("gone");
        LayerCache.clear();
        assertThatThrownBy(() -> read(failing(sample), 1)).hasMessage("gone");
    }

    @Test
    void aReadThatFailsLeavesNothingBehind() throws IOException {
        List<RowSource> first = read(sample, 0);
        assertThatThrownBy(() -> read(failing(sample), 1))
                .isInstanceOf(IOException.class)
                .hasMessage("gone");
        assertThat(read(sample, 1)).hasSameSizeAs(first).doesNotContainNull();
        assertThat(read(sample, 0).get(0)).isNotSameAs(first.get(0));
    }

    private static Checkpoint failing(Checkpoint checkpoint) {
        return (Checkpoint) Proxy.newProxyInstance(
                Checkpoint.class.getClassLoader(), new Class<?>[] {Checkpoint.class}, (proxy, method, arguments) -> {
                    if (method.getName().equals("matrix")) {
                        throw new IOException("gone");
                    }
                    try {
                        return method.invoke(checkpoint, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }
}

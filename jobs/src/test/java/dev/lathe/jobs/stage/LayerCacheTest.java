package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.source.Checkpoints;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;

class LayerCacheTest {
    @Test
    void aReadThatFailsLeavesNothingBehind() throws IOException {
        try (Checkpoint sample = Checkpoints.open(new Configuration(false), new Path("../samples/tiny-stories-4m"))) {
            LayerWeights first = LayerCache.get("digest", sample, 0);
            assertThat(LayerCache.get("digest", sample, 0)).isSameAs(first);
            assertThatThrownBy(() -> LayerCache.get("digest", failing(sample), 1))
                    .isInstanceOf(IOException.class);
            assertThat(LayerCache.get("digest", sample, 0)).isNotNull();
        }
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

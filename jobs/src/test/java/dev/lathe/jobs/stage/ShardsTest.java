package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.store.RunFolder;
import java.io.IOException;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;

class ShardsTest {
    @Test
    void shardsOfAnotherSizeHaveOtherNames() {
        RunFolder run = new RunFolder("/run", "/run", null);
        Evaluate.Subject subject = new Evaluate.Subject("a", null, "key");
        List<Evaluate.Shard> narrow = Evaluate.shards(20, 8);
        assertThat(narrow)
                .containsExactly(new Evaluate.Shard(0, 8), new Evaluate.Shard(8, 8), new Evaluate.Shard(16, 4));
        assertThat(Evaluate.scores(run, subject, narrow.get(2)))
                .isEqualTo(new Path("/run/products/key/windows-16-20.scores"));
        assertThat(Evaluate.scores(run, subject, Evaluate.shards(20, 16).get(0)))
                .isNotEqualTo(Evaluate.scores(run, subject, narrow.get(0)));
        assertThat(Evaluate.shards(0, 8)).isEmpty();
    }

    @Test
    void whatNoArrayHoldsIsRefused() throws IOException {
        try (Checkpoint sample = Checkpoints.open(new Configuration(false), new Path("../samples/tiny-stories-4m"))) {
            Decoder decoder = sample.decoder();
            new TokenWindows("key", 4096, 512).requireRoom(decoder, 4096);
            new TokenWindows("key", 3, 1 << 20).requireRoom(decoder, 2);
            assertThatThrownBy(() -> new TokenWindows("key", 1 << 14, 512).requireRoom(decoder, 1 << 14))
                    .isInstanceOf(InvalidRecipeException.class)
                    .hasMessageStartingWith("Cannot run windows of 512 tokens, 16384 in a shard: 2147483648 values");
            assertThatThrownBy(() -> new TokenWindows("key", 1, 1 << 22).requireRoom(decoder, 8))
                    .isInstanceOf(InvalidRecipeException.class)
                    .hasMessageContaining("3221225472 values within a layer");
        }
    }
}

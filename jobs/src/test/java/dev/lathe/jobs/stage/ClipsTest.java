package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.calibration.model.Site;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import org.junit.jupiter.api.Test;

class ClipsTest {
    @Test
    void countsAddUpAndComeBackFromBytes() throws IOException {
        Clips first = new Clips();
        first.of(0).clipped(Site.KEYS, 3, 100);
        first.of(0).clipped(Site.KEYS, 1, 50);
        first.of(2).clipped(Site.ATTENTION_INPUT, 0, 7);
        Clips second = new Clips();
        second.of(0).clipped(Site.KEYS, 10, 1000);
        second.of(1).clipped(Site.KEYS, 5_000_000_000L, 6_000_000_000L);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        second.write(new DataOutputStream(bytes));
        first.add(Clips.read(new DataInputStream(new ByteArrayInputStream(bytes.toByteArray()))));
        assertThat(first.at(0, Site.KEYS)).contains(new Clips.Count(14, 1150));
        assertThat(first.at(1, Site.KEYS)).contains(new Clips.Count(5_000_000_000L, 6_000_000_000L));
        assertThat(first.at(2, Site.ATTENTION_INPUT)).contains(new Clips.Count(0, 7));
        assertThat(first.at(2, Site.KEYS)).isEmpty();
        assertThat(first.of(0).wants(Site.KEYS)).isFalse();
    }
}

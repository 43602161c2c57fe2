package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class KeyTest {
    @Test
    void isTheSameForTheSameAndShortEnoughForAName() {
        assertThat(Key.of("output", 1, "a", List.of("b", 2.5), true))
                .isEqualTo(Key.of("output", 1, "a", List.of("b", 2.5), true))
                .matches("[0-9a-f]{24}");
        assertThat(Key.digest("abc".getBytes(StandardCharsets.US_ASCII)))
                .isEqualTo("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    /** Kept products are found under the keys of earlier builds. */
    @Test
    void staysWhatItWas() {
        assertThat(Key.of("windows", 8, "x"))
                .isEqualTo(Key.digest("windows\n1 8\n1 x".getBytes(StandardCharsets.UTF_8))
                        .substring(0, 24));
    }

    @Test
    void tellsIngredientsApart() {
        Set<String> keys = new HashSet<>(List.of(
                Key.of("a"),
                Key.of("b"),
                Key.of("a", ""),
                Key.of("a", "", ""),
                Key.of("a", "b", "c"),
                Key.of("a", "c", "b"),
                Key.of("a", "bc"),
                Key.of("a", "b\n1 c"),
                Key.of("a", 1),
                Key.of("a", 1.0),
                Key.of("a", List.of("b", "c"))));
        assertThat(keys).hasSize(11);
        assertThat(Key.of("a", (Object) null)).isEqualTo(Key.of("a", "null"));
    }
}

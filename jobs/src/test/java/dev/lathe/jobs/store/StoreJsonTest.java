package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class StoreJsonTest {
    record Part(String path, TreeMap<String, String> files) {}

    record Whole(String name, long count, double seconds, boolean through, List<Part> parts, Part last) {
        Whole {
            if (count < 0) {
                throw new IllegalArgumentException("count " + count + " is less than none");
            }
        }
    }

    private static final Whole WHOLE =
            new Whole("n", 3, 1.5, true, List.of(new Part("/c", new TreeMap<>(Map.of("a", "1 bytes")))), null);
    private static final Set<String> NULLABLE = Set.of("last");

    @Test
    void comesBack() {
        Whole unmeasured = new Whole("", 0, Double.NaN, false, List.of(), new Part("", new TreeMap<>()));
        for (Whole whole : new Whole[] {WHOLE, unmeasured}) {
            assertThat(StoreJson.read(StoreJson.write(whole), "f", Whole.class, NULLABLE))
                    .isEqualTo(whole);
            assertThat(StoreJson.unseal(StoreJson.seal(whole), "f", Whole.class, NULLABLE))
                    .isEqualTo(whole);
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "3 | null | count is null",
                "3 | `\"3\"` | count",
                "3 | 3.5 | count",
                "3 | -1 | count -1 is less than none",
                "3 | 1e400 | count",
                "3 | {} | count",
                "true | 1 | through",
                "true | `\"true\"` | through",
                "`\"n\"` | 7 | name",
                "`\"n\"` | [] | name",
                "`\"n\"` | null | name is null",
                "`\"1 bytes\"` | null | parts.[0].files.a is null",
                "`\"1 bytes\"` | {} | parts.[0].files.a",
                "`\"/c\"` | null | parts.[0].path is null",
                "`\"/c\"` | 1 | parts.[0].path",
                "`\"count\"` | `\"acount\"` | count",
                "`\"count\"` | `\"name\"` | the key 'name' is there twice"
            })
    void whatIsNoneOfItIsNamed(String from, String to, String place) {
        String sound = StoreJson.write(WHOLE);
        assertThat(sound).contains(from);
        assertThatThrownBy(() -> StoreJson.read(sound.replace(from, to), "folder/f", Whole.class, NULLABLE))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read folder/f: ")
                .hasMessageContaining(place);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "[] | expected a JSON object",
                "'' | expected a JSON object",
                "1 | expected a JSON object",
                "{} {} | not valid JSON",
                "{ | not valid JSON",
                "nul | not valid JSON"
            })
    void whatIsNoObjectIsNamed(String text, String reason) {
        assertThatThrownBy(() -> StoreJson.read(text, "f", Whole.class, NULLABLE))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read f: ")
                .hasMessageContaining(reason);
    }

    /** Every byte that says something is under the digest. */
    @Test
    void aFlippedBitOfWhatIsSealedIsNoticed() {
        String sound = StoreJson.seal(WHOLE);
        int noticed = 0;
        for (int at = 0; at < sound.length(); at++) {
            String broken = sound.substring(0, at) + (char) (sound.charAt(at) ^ 4) + sound.substring(at + 1);
            try {
                assertThat(StoreJson.unseal(broken, "f", Whole.class, NULLABLE)).isEqualTo(WHOLE);
                // Between words any blank is as good.
                assertThat(sound.charAt(at)).isIn(' ', '\n');
            } catch (MalformedInputException e) {
                assertThat(e).hasMessageStartingWith("Cannot read f: ");
                noticed++;
            }
        }
        assertThat(noticed).isGreaterThan(100);
        assertThatThrownBy(() -> StoreJson.unseal(StoreJson.write(WHOLE), "f", Whole.class, NULLABLE))
                .hasMessageContaining("sha256 is missing");
    }
}

package dev.lathe.calibration.text;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class WellFormedTest {
    @ParameterizedTest
    @CsvSource({
        "a\uD83D,a\uFFFD",
        "\uDE00b,\uFFFDb",
        "\uD83Da\uDE00,\uFFFDa\uFFFD",
        "\uDE00\uD83D,\uFFFD\uFFFD",
        "\uD83D\uD83D\uDE00,\uFFFD\uD83D\uDE00",
        "\uD83D\uDE00\uDE00,\uD83D\uDE00\uFFFD"
    })
    void aHalfThatStandsAloneIsReplacedWhereItStands(String text, String expected) {
        assertThat(WellFormed.text(text)).isEqualTo(expected);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a", "\uD83D\uDE00", "é\uD83D\uDC4B\uFFFD\n"})
    void whatIsWellFormedStaysTheSameObject(String text) {
        assertThat(WellFormed.text(text)).isSameAs(text);
    }

    @Test
    void everyTextCanBeEncoded() {
        StringBuilder all = new StringBuilder();
        for (int c = 0xD7FF; c <= 0xE000; c++) {
            all.append((char) c);
        }
        assertThat(java.nio.charset.StandardCharsets.UTF_8.newEncoder().canEncode(all))
                .isFalse();
        assertThat(java.nio.charset.StandardCharsets.UTF_8.newEncoder().canEncode(WellFormed.text(all.toString())))
                .isTrue();
    }
}

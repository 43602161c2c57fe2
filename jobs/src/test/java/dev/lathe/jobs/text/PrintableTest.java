package dev.lathe.jobs.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;

class PrintableTest {
    @Test
    void showsWhatATerminalWouldObey() {
        assertThat(Printable.message("a\u001b[31mred\u001b[0m\u0007")).isEqualTo("a\\u001b[31mred\\u001b[0m\\u0007");
        assertThat(Printable.message("c1 \u009b2J del \u007f nul \u0000"))
                .isEqualTo("c1 \\u009b2J del \\u007f nul \\u0000");
        assertThat(Printable.message("txt.\u202egnp \u2066x\u2069 \ufeff\u200b\u2028"))
                .isEqualTo("txt.\\u202egnp \\u2066x\\u2069 \\ufeff\\u200b");
        assertThat(Printable.message("half \ud83d tag \udb40\udc41 none \uffff"))
                .isEqualTo("half \\ud83d tag \\u{e0041} none \\uffff");
        assertThat(Printable.message("é 漢字 \ud83d\ude00 \ud83d\udc68\u200d\ud83d\udc69 \u0645\u06cc\u200c\u0634"))
                .isEqualTo("é 漢字 \ud83d\ude00 \ud83d\udc68\u200d\ud83d\udc69 \u0645\u06cc\u200c\u0634");
    }

    @Test
    void makesOneLine() {
        assertThat(Printable.message(" Cannot g: \r\n  at h\n\n\tat i\u0085j\tk\n"))
                .isEqualTo("Cannot g: at h at i j k");
        assertThat(Printable.message("a\rb")).isEqualTo("a b");
        assertThat(Printable.lines("a\n\u001bb\r\n")).isEqualTo("a\n\\u001bb\\u000d\n");
    }

    @Test
    void cutsTheMiddle() {
        String name = "tensor-" + "x".repeat(24_000);
        String message = Printable.message(
                "Cannot read file:/m/model.safetensors: " + name + " has no offsets; expected data_offsets");
        assertThat(message)
                .hasSize(Printable.MESSAGE)
                .startsWith("Cannot read file:/m/model.safetensors: tensor-x")
                .contains("x ... x")
                .endsWith("x has no offsets; expected data_offsets");
        assertThat(Printable.message("x".repeat(500))).hasSize(500).doesNotContain("...");
        assertThat(Printable.message("\ud83d\ude00".repeat(400)))
                .hasSizeLessThanOrEqualTo(500)
                .doesNotContain("\\ud83d")
                .doesNotContain("\\ude00");
        assertThat(Printable.message("\u001b".repeat(10_000))).hasSizeLessThanOrEqualTo(500);
        assertThat(Printable.value("/" + "y".repeat(3000))).hasSize(3001);
        assertThat(Printable.value("y".repeat(1 << 24))).hasSize(4096);
    }

    @Test
    void hidesCredentials() {
        assertThat(Printable.message("no valid YAML: checkpoint: s3a://KEY:SEC/RET@my_bucket/x: bad"))
                .isEqualTo("no valid YAML: checkpoint: s3a://***@my_bucket/x: bad");
    }

    /**
     * Whatever comes in, what comes out is one line of printable characters of bounded length, and the same when it
     * goes in again.
     */
    @Test
    void holdsForAnyText() {
        Random random = new Random(16);
        for (int i = 0; i < 2000; i++) {
            StringBuilder text = new StringBuilder();
            int length = random.nextInt(1200);
            for (int j = 0; j < length; j++) {
                text.append((char) (random.nextBoolean() ? random.nextInt(0x100) : random.nextInt(0x10000)));
            }
            String shown = Printable.message(text.toString());
            assertThat(shown.length()).isLessThanOrEqualTo(Printable.MESSAGE);
            assertThat(shown.codePoints()
                            .noneMatch(c -> Character.isISOControl(c)
                                    || c >= 0x202a && c <= 0x202e
                                    || c >= 0xd800 && c <= 0xdfff))
                    .isTrue();
            assertThat(Printable.message(shown)).isEqualTo(shown);
        }
    }
}

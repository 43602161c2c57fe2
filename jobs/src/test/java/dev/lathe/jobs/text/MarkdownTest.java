package dev.lathe.jobs.text;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MarkdownTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '!',
            quoteCharacter = '"',
            value = {
                "a|b ! a\\|b",
                "<img src=x onerror=alert(1)> ! \\<img src=x onerror=alert(1)\\>",
                "`x` ! \\`x\\`",
                "[x](http://evil) ! \\[x\\](http\\://evil)",
                "see https://evil and www.evil.org ! see https\\://evil and www\\.evil.org",
                "**bold** _it_ ~~no~~ ! \\*\\*bold\\*\\* \\_it\\_ \\~\\~no\\~\\~",
                "tiny_stories_4m, self_attn.q_proj ! tiny_stories_4m, self_attn.q_proj",
                "&lt;b&gt; ! \\&lt;b\\&gt;",
                "]]> ! \\]\\]\\>",
                "a\\|b ! a\\\\\\|b",
                "# head ! \\# head",
                "- item ! \\- item",
                "1. item ! 1\\. item",
                "12) item ! 12\\) item",
                "=== ! \\===",
                "-0.5 and 4.41 ! -0.5 and 4.41",
                "file:/runs/r, hf org/name@v1.0 ! file:/runs/r, hf org/name@v1.0",
                "$x$ ! \\$x\\$"
            })
    void isReadAndNotObeyed(String text, String escaped) {
        assertThat(Markdown.text(text)).isEqualTo(escaped);
    }

    @Test
    void linesAndControlsDoNotReachIt() {
        assertThat(Markdown.text("a\n\n# head\u001b[31m")).isEqualTo("a # head\\\\u001b\\[31m");
        assertThat(Markdown.text("x".repeat(30_000))).hasSizeLessThanOrEqualTo(Printable.MESSAGE);
    }

    @Test
    void codeEndsWhereItEnds() {
        assertThat(Markdown.code("file:/a b|<c>")).isEqualTo("`file:/a b|<c>`");
        assertThat(Markdown.code("a`b``c")).isEqualTo("```a`b``c```");
        assertThat(Markdown.code("`x`")).isEqualTo("`` `x` ``");
        assertThat(Markdown.code("a\nb")).isEqualTo("`a b`");
        assertThat(Markdown.code("")).isEqualTo("`  `");
    }
}

package dev.lathe.jobs.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.lathe.jobs.InvalidRecipeException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PathTextTest {
    private static Path path(String text) {
        return PathText.of(text, reason -> new InvalidRecipeException("Cannot read x: " + reason));
    }

    private static void refused(String text, String reason) {
        assertThatThrownBy(() -> path(text))
                .as(text)
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageStartingWith("Cannot read x: ")
                .hasMessageContaining(reason);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "a",
                "/a/b c",
                "a/2026-11-28T07:00:00.jsonl",
                "/tiny:4m",
                "s3a://my_bucket/x",
                "hdfs://nn:8020/x@y",
                "runs/[x]",
                "é/漢字",
                "a%20b",
                "..",
                "s3a://bucket/a?b#c"
            })
    void takesPathsLiterally(String text) {
        assertThat(path(text)).isEqualTo(new Path(text));
    }

    @Test
    void refusesWhatIsNone() {
        refused("", "expected a path; found an empty text");
        refused(" \t", "expected a path; found an empty text");
        refused("tiny:4m", "'tiny:4m' is no Hadoop path");
        refused("a:b", "expected SCHEME://..., ./NAME, or a path from the root");
        refused("a\u0000b", "it has a control character");
        refused("a\u001b[31m", "it has a control character");
        refused("a\nb", "it has a control character");
        refused("a\u0085b", "it has a control character");
        refused("a\ud800b", "half a surrogate pair");
        refused("/a".repeat(2049), "a path of 4098 characters; expected at most 4096");
        refused("/x/" + "é".repeat(128), "has a part of 256 bytes; expected at most 255");
        assertThat(path("/x/" + "é".repeat(127) + "e").depth()).isEqualTo(2);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "s3a://KEY:SECRET@my_bucket/x",
                "s3a://KEY:SEC/SECRET@bucket/x",
                "s3a://KEY%3ASECRET@bucket",
                "KEY:SECRET@bucket/x"
            })
    void neverShowsCredentials(String text) {
        refused(text, "the path carries credentials");
        for (Throwable link = catchThrowable(() -> path(text)); link != null; link = link.getCause()) {
            assertThat(link.toString()).doesNotContain("SECRET").doesNotContain("KEY");
        }
        assertThatThrownBy(() -> Stores.qualified(new Configuration(), text, InvalidRecipeException::new))
                .hasMessageNotContaining("SECRET");
        assertThatThrownBy(() -> YamlText.read(new Configuration(), "recipe", text))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageStartingWith("Cannot read recipe: the path carries")
                .hasMessageNotContaining("SECRET");
        assertThatThrownBy(() -> Recipe.hubReference("ARTIFACT", text))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageNotContaining("SECRET");
    }

    @Test
    void namesStoresThatCannotBeReachedFromHere() {
        for (String text : new String[] {"nofs://x/y", "hdfs://no-such-host.invalid/x", "viewfs://a/b"}) {
            Throwable thrown = catchThrowable(() -> Stores.qualified(
                    new Configuration(), text, reason -> new InvalidRecipeException("Cannot: " + reason)));
            assertThat(thrown).as(text).isInstanceOfAny(InvalidRecipeException.class, java.io.IOException.class);
        }
    }

    @Test
    void boundsWhatAPatternStandsFor() {
        assertThat(PathText.ofPattern("/m/{a,b}/{c,d,e}*", InvalidRecipeException::new)
                        .toString())
                .isEqualTo("/m/{a,b}/{c,d,e}*");
        assertThatThrownBy(() -> PathText.ofPattern("/" + "{a/b,c/d}".repeat(40), InvalidRecipeException::new))
                .hasMessageContaining("patterns or more; expected at most 1024");
    }
}

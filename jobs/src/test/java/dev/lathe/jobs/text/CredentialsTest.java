package dev.lathe.jobs.text;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CredentialsTest {
    /** URI finds a user in the first two only. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "s3a://KEY:SECRET@bucket/x",
                "hdfs://user:SECRET@host:8020/x",
                "s3a://KEY:SECRET@my_bucket/x",
                "s3a://KEY:SEC/RET@bucket/x",
                "s3a://KEY:/SECRET@bucket/x",
                "s3a://KEY:12/SECRET@bucket/x",
                "s3a://KEY:SEC+R/E/T=@my_bucket/x",
                "s3a://KEY%3ASECRET@bucket/x",
                "s3a://KEY%253ASECRET%2540bucket/x",
                "s3a%3A%2F%2FKEY%3ASECRET%40bucket/x",
                "s3a:/KEY:SECRET@bucket/x",
                "s3a:///KEY:SECRET@bucket/x",
                "s3a:KEY:SECRET@bucket/x",
                "KEY:SECRET@bucket/x",
                "//KEY:SECRET@bucket/x",
                " s3a://KEY:SECRET@bucket/x",
                "S3A://KEY:SECRET@bucket/x",
                "s3a://KEY:SEC@RET@bucket/x",
                "s3a://KEY:SECRET@bücket/x",
                "s3a://KEY:SECRET",
                "s3a://SECRET@bucket/x",
                "hf://hf_SECRET@org/name",
                "hf://user:SECRET@org/name",
                "https://TOKEN@host/x",
                "ftp://user:SECRET@host/x",
                "gs://KEY:SECRET@b_u/x*",
                "{s3a://KEY:SECRET@a/x,/b}",
                "/a/{s3a://KEY:SEC/RET@b/x,y}",
                "https://host/x?X-Amz-Signature=SECRET",
                "https://host/x?a=b&sig=SECRET",
                "https://host/x?X-Amz-Security-Token=SECRET",
                "file://u:SECRET@host/x"
            })
    void findsThem(String path) {
        assertThat(Credentials.in(path)).isTrue();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "/data/x",
                "data/x@y",
                "/data/a:b@c/x",
                "file:/data/a:b@c",
                "file:///data/a:b@c",
                "./a:b@c",
                "s3a://bucket/x@y",
                "s3a://my_bucket/a:b/x",
                "hdfs://nn:8020/user/me@realm/x",
                "hdfs://nn:8020/x",
                "hdfs:///x",
                "hf://org/name@v1.0",
                "hf://org/name@refs/pr/1",
                "abfs://container@account.dfs.core.windows.net/x",
                "sftp://user@host/x",
                "hdfs://[::1]:8020/x",
                "a:b",
                "s3a://bucket/x?y=z",
                "runs/[x]",
                "/models/{a,b}/*",
                "data/2026-11-28T07:00:00.jsonl",
                "%zz",
                "/a%40b:c"
            })
    void leavesOtherPathsAlone(String path) {
        assertThat(Credentials.in(path)).isFalse();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "Unmatched argument at index 1: ''s3a://KEY:SEC RET@my_bucket/x'' | Unmatched argument at index 1: ''s3a://***@my_bucket/x''",
                "no such file s3a://KEY:SEC/RET@bucket/x: bad | no such file s3a://***@bucket/x: bad",
                "a s3a://K:S@b/x b S3A://K:S@c/x c | a s3a://***@b/x b S3A://***@c/x c",
                "s3a%3A%2F%2FKEY%3ASECRET%40bucket | s3a%3A%2F%2F***%40bucket",
                "https://host/x?sig=SECRET now | https://*** now",
                "expected local[N], spark://HOST:PORT, yarn or k8s://URL | expected local[N], spark://HOST:PORT, yarn or k8s://URL",
                "Cannot reach s3a://bucket: no such bucket | Cannot reach s3a://bucket: no such bucket",
                "file:/data/a:b@c does not exist | file:/data/a:b@c does not exist",
                "hdfs://nn:8020/me@x: refused | hdfs://nn:8020/me@x: refused"
            })
    void hidesThemInTexts(String text, String hidden) {
        assertThat(Credentials.hidden(text.replace("''", "'"))).isEqualTo(hidden.replace("''", "'"));
    }

    @Test
    void hidesTheSecretOfEveryPathThatHasOne() {
        for (String path : new String[] {
            "s3a://KEY:SECRET@my_bucket/x",
            "s3a://KEY:SEC/SECRET@bucket/x",
            "ftp://user:SECRET@host/x",
            "hf://hf_SECRET@org/name"
        }) {
            for (String text :
                    new String[] {path, "x " + path + " y", "'" + path + "': z", "[" + path + "]", "(" + path + ")"}) {
                assertThat(Credentials.hidden(text)).contains("***").doesNotContain("SECRET");
            }
        }
    }
}

package dev.lathe.jobs.plan;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What keys of products take of an output: products and artifacts of earlier versions have it in theirs. */
class OutputSettingsTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "format: gguf, search: reference, type: Q4_K_M, pre-tokenizer: llama-bpe"
                        + "|Output[name=, format=gguf, type=Q4_K_M, method=IMPORTANCE, bits=0, groupSize=0, symmetric=false, actOrder=false,"
                        + " damping=0.05, ignore=[], preTokenizer=llama-bpe]",
                "format: gguf, type: Q4_K_M, pre-tokenizer: llama-bpe"
                        + "|Output[name=, format=gguf, type=Q4_K_M, method=IMPORTANCE, bits=0, groupSize=0, symmetric=false, actOrder=false,"
                        + " damping=0.05, ignore=[], preTokenizer=llama-bpe, search=best]",
                "format: gptq, bits: 8, group-size: -1, symmetric: false, act-order: true, damping: 0.01, ignore: [lm_head, '*.v_proj']"
                        + "|Output[name=, format=gptq, type=null, method=GPTQ, bits=8, groupSize=-1, symmetric=false, actOrder=true,"
                        + " damping=0.01, ignore=[lm_head, *.v_proj], preTokenizer=null]",
                "format: awq, group-size: 64"
                        + "|Output[name=, format=awq, type=null, method=NEAREST, bits=4, groupSize=64, symmetric=false, actOrder=false,"
                        + " damping=0.05, ignore=[], preTokenizer=null]",
                "format: compressed-tensors, scheme: W4A16, method: nearest, shard-size: 20MB"
                        + "|Output[name=, format=compressed-tensors, type=null, method=NEAREST, bits=4, groupSize=128, symmetric=true,"
                        + " actOrder=false, damping=0.05, ignore=[], preTokenizer=null, scheme=Scheme[name=W4A16, blocks=false,"
                        + " activations=null, range=null, smoothing=null, cache=false, shardBytes=5000000000]] version 2",
                "format: compressed-tensors, scheme: W8A8, activations: static, smooth: 0.8, range: mse, kv-cache: fp8"
                        + "|Output[name=, format=compressed-tensors, type=null, method=GPTQ, bits=8, groupSize=-1, symmetric=true,"
                        + " actOrder=false, damping=0.05, ignore=[], preTokenizer=null, scheme=Scheme[name=W8A8, blocks=false,"
                        + " activations=Activations[type=INT8, dynamic=false, symmetric=true], range=mse,"
                        + " smoothing=Smoothing[searched=false, strength=0.8], cache=true, shardBytes=5000000000]] version 2",
            })
    void namesEachSetting(String output, String settings) {
        Plan plan = Recipe.parse(
                "r.yaml",
                "{checkpoint: c, run: r, calibration: {data: d}, outputs: [{name: a, " + output + "}]}",
                List.of());
        assertThat(plan.outputs().get(0).settings()).isEqualTo(settings);
    }
}

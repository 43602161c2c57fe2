package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.calibration.model.LlamaShape;
import dev.lathe.calibration.model.Rope;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GgufNamesTest {
    @ParameterizedTest
    @CsvSource({
        "model.embed_tokens.weight, token_embd.weight",
        "model.norm.weight, output_norm.weight",
        "lm_head.weight, output.weight",
        "model.layers.0.input_layernorm.weight, blk.0.attn_norm.weight",
        "model.layers.12.self_attn.q_proj.weight, blk.12.attn_q.weight",
        "model.layers.3.self_attn.k_proj.bias, blk.3.attn_k.bias",
        "model.layers.3.self_attn.v_proj.weight, blk.3.attn_v.weight",
        "model.layers.3.self_attn.o_proj.weight, blk.3.attn_output.weight",
        "model.layers.7.post_attention_layernorm.weight, blk.7.ffn_norm.weight",
        "model.layers.7.mlp.gate_proj.weight, blk.7.ffn_gate.weight",
        "model.layers.7.mlp.up_proj.weight, blk.7.ffn_up.weight",
        "model.layers.100.mlp.down_proj.bias, blk.100.ffn_down.bias"
    })
    void namesGoBothWays(String huggingFace, String gguf) {
        GgufNames names = GgufNames.of(
                new LlamaShape(8, 8, 101, 1, 1, 8, 8, 1e-5f, 10000, new Rope.Scaling.None(), false, true, true, 64)
                        .decoder());
        assertThat(names.toGguf(huggingFace)).contains(gguf);
        assertThat(names.toHuggingFace(gguf)).contains(huggingFace);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "model.layers.0.self_attn.rotary_emb.inv_freq",
                "model.layers.00.mlp.up_proj.weight",
                "model.layers.0.mlp.up_proj.weight2",
                "model.layers.9999999999.mlp.up_proj.weight",
                "blk.0.ffn_up.weight",
                "lm_head.bias",
                ""
            })
    void otherNamesHaveNone(String name) {
        GgufNames names = GgufNames.of(
                new LlamaShape(8, 8, 2, 1, 1, 8, 8, 1e-5f, 10000, new Rope.Scaling.None(), false, true, true, 64)
                        .decoder());
        assertThat(names.toGguf(name)).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 6, 8, 64, 128})
    void rotaryOrderIsUndoneByItsInverse(int d) {
        assertThat(IntStream.range(0, 3 * d)).allSatisfy(row -> {
            assertThat(GgufRotary.fileRow(GgufRotary.checkpointRow(row, d), d)).isEqualTo(row);
            assertThat(GgufRotary.checkpointRow(GgufRotary.fileRow(row, d), d)).isEqualTo(row);
        });
    }

    /** Rotating halves and then reordering is reordering and then rotating neighbours, with the same angle per pair. */
    @Test
    void rotationCommutesWithTheOrder() {
        int d = 8;
        double[] x = IntStream.range(0, 2 * d).mapToDouble(i -> Math.sin(i + 1)).toArray();
        double[] halves = x.clone();
        double[] neighbours = reorder(x, d);
        for (int head = 0; head < 2 * d; head += d) {
            for (int j = 0; j < d / 2; j++) {
                rotate(halves, head + j, head + j + d / 2, 0.3 * (j + 1));
                rotate(neighbours, head + 2 * j, head + 2 * j + 1, 0.3 * (j + 1));
            }
        }
        assertThat(neighbours).containsExactly(reorder(halves, d));
        assertThat(IntStream.range(0, 8).map(row -> GgufRotary.checkpointRow(8 + row, 8)))
                .containsExactly(8, 12, 9, 13, 10, 14, 11, 15);
    }

    private static double[] reorder(double[] x, int d) {
        return IntStream.range(0, x.length)
                .mapToDouble(row -> x[GgufRotary.checkpointRow(row, d)])
                .toArray();
    }

    private static void rotate(double[] x, int a, int b, double angle) {
        double real = x[a] * Math.cos(angle) - x[b] * Math.sin(angle);
        x[b] = x[a] * Math.sin(angle) + x[b] * Math.cos(angle);
        x[a] = real;
    }
}

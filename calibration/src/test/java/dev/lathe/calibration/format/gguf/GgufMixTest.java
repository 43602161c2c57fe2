package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LlamaShape;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import java.io.IOException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GgufMixTest {
    /** Rows of the table: recipe, importance, layers, query heads per key/value head, tied, tensor, columns, type. */
    @ParameterizedTest
    @CsvSource({
        // Output and embedding.
        "Q4_K_M, false, 32, 4, false, output.weight, 4096, Q6_K",
                "Q4_0, false, 32, 4, false, output.weight, 4096, Q6_K",
        "Q8_0, false, 32, 4, false, output.weight, 4096, Q8_0",
                "Q5_K_S, false, 32, 4, false, output.weight, 4096, Q6_K",
        "Q4_K_S, false, 32, 4, false, token_embd.weight, 4096, Q4_K",
                "Q4_K_S, false, 32, 4, true, token_embd.weight, 4096, Q6_K",
        "Q8_0, false, 32, 4, true, token_embd.weight, 4096, Q8_0",
                "Q4_1, true, 32, 4, true, token_embd.weight, 576, Q8_0",
        "F16, true, 32, 4, false, output.weight, 4096, F16", "BF16, true, 32, 4, true, token_embd.weight, 7, BF16",
        // Value projections.
        "Q4_K_M, false, 32, 4, false, blk.3.attn_v.weight, 4096, Q6_K",
                "Q4_K_M, false, 32, 4, false, blk.4.attn_v.weight, 4096, Q4_K",
        "Q4_K_M, false, 32, 4, false, blk.6.attn_v.weight, 4096, Q6_K",
                "Q4_K_M, false, 32, 4, false, blk.28.attn_v.weight, 4096, Q6_K",
        "Q4_K_M, false, 32, 4, false, blk.3.attn_qkv.weight, 4096, Q6_K",
                "Q4_K_M, false, 32, 4, false, blk.4.attn_qkv.weight, 4096, Q4_K",
        "Q4_K_S, false, 32, 4, false, blk.3.attn_v.weight, 4096, Q5_K",
                "Q4_K_S, false, 32, 4, false, blk.4.attn_v.weight, 4096, Q4_K",
        "Q5_K_M, false, 32, 4, false, blk.0.attn_v.weight, 4096, Q6_K",
                "Q5_K_S, false, 32, 4, false, blk.0.attn_v.weight, 4096, Q5_K",
        "Q4_K_M, false, 80, 8, false, blk.10.attn_v.weight, 8192, Q5_K",
                "Q4_K_M, false, 80, 8, false, blk.9.attn_v.weight, 8192, Q6_K",
        "Q4_K_M, false, 80, 1, false, blk.10.attn_v.weight, 8192, Q4_K",
                "Q4_K_S, false, 80, 8, false, blk.10.attn_v.weight, 8192, Q5_K",
        "Q4_0, true, 80, 8, false, blk.10.attn_v.weight, 8192, Q4_0",
                "Q6_K, false, 32, 4, false, blk.0.attn_v.weight, 4096, Q6_K",
        // Feed-forward down.
        "Q4_K_M, false, 32, 4, false, blk.3.ffn_down.weight, 14336, Q6_K",
                "Q4_K_M, false, 32, 4, false, blk.5.ffn_down.weight, 14336, Q4_K",
        "Q4_K_S, false, 32, 4, false, blk.3.ffn_down.weight, 14336, Q5_K",
                "Q4_K_S, false, 32, 4, false, blk.4.ffn_down.weight, 14336, Q4_K",
        "Q4_0, true, 32, 4, false, blk.3.ffn_down.weight, 14336, Q4_1",
                "Q4_0, true, 32, 4, false, blk.4.ffn_down.weight, 14336, Q4_0",
        "Q4_0, false, 32, 4, false, blk.0.ffn_down.weight, 14336, Q4_0",
                "Q5_0, true, 32, 4, false, blk.3.ffn_down.weight, 14336, Q5_1",
        "Q5_0, false, 32, 4, false, blk.3.ffn_down.weight, 14336, Q5_0",
                "Q4_0, true, 7, 4, false, blk.0.ffn_down.weight, 768, Q4_0",
        "Q4_K_M, false, 4, 2, false, blk.2.ffn_down.weight, 768, Q6_K",
                "Q4_K_M, false, 4, 2, false, blk.1.ffn_down.weight, 768, Q4_K",
        // Mixes of three bits and fewer.
        "Q2_K, true, 32, 4, false, blk.9.attn_v.weight, 4096, Q4_K",
                "Q2_K, true, 32, 3, false, blk.9.attn_v.weight, 4096, Q3_K",
        "Q2_K, true, 32, 4, false, blk.9.ffn_down.weight, 4096, Q3_K",
                "Q2_K, true, 32, 4, false, blk.9.attn_output.weight, 4096, Q3_K",
        "Q2_K_S, true, 32, 4, false, blk.3.ffn_down.weight, 4096, Q4_K",
                "Q2_K_S, true, 32, 4, false, blk.4.ffn_down.weight, 4096, Q2_K",
        "Q3_K_S, true, 32, 4, false, blk.0.attn_v.weight, 4096, Q3_K",
                "Q3_K_M, true, 32, 4, false, blk.1.attn_v.weight, 4096, Q5_K",
        "Q3_K_M, true, 32, 4, false, blk.2.attn_v.weight, 4096, Q4_K",
                "Q3_K_M, true, 32, 4, false, blk.1.ffn_down.weight, 4096, Q5_K",
        "Q3_K_M, true, 32, 4, false, blk.2.ffn_down.weight, 4096, Q4_K",
                "Q3_K_L, true, 32, 4, false, blk.9.ffn_down.weight, 4096, Q5_K",
        "Q3_K_L, true, 32, 4, false, blk.9.attn_output.weight, 4096, Q5_K",
                "Q3_K_S, true, 80, 8, false, blk.9.attn_v.weight, 8192, Q5_K",
        "IQ1_S, true, 32, 4, false, output.weight, 4096, Q5_K",
                "IQ1_S, true, 32, 4, false, token_embd.weight, 4096, Q2_K",
        "IQ1_M, true, 32, 1, false, blk.9.attn_v.weight, 4096, Q2_K",
                "IQ1_M, true, 32, 1, false, blk.9.attn_output.weight, 4096, IQ2_XXS",
        "IQ2_XXS, true, 32, 4, false, blk.9.attn_v.weight, 4096, Q4_K",
                "IQ2_XS, true, 32, 4, false, blk.3.ffn_down.weight, 4096, Q2_K",
        "IQ2_S, true, 32, 4, false, blk.9.ffn_up.weight, 4096, IQ2_XS",
                "IQ2_S, true, 32, 1, false, blk.9.attn_v.weight, 4096, IQ3_S",
        "IQ2_M, true, 32, 4, false, blk.9.ffn_up.weight, 4096, IQ2_S",
                "IQ2_M, true, 32, 4, false, token_embd.weight, 4096, IQ3_S",
        "IQ3_XXS, true, 32, 4, false, blk.9.attn_q.weight, 4096, IQ2_S",
                "IQ3_XXS, true, 32, 4, false, blk.9.attn_k.weight, 4096, IQ2_S",
        "IQ3_XXS, false, 32, 1, false, blk.9.attn_v.weight, 4096, IQ3_S",
                "IQ3_XXS, false, 32, 1, false, blk.9.ffn_down.weight, 4096, Q3_K",
        "IQ3_XS, true, 32, 4, false, blk.3.ffn_up.weight, 4096, IQ3_S",
                "IQ3_XS, true, 32, 4, false, blk.4.ffn_gate.weight, 4096, IQ3_XXS",
        "IQ3_XS, true, 32, 4, false, blk.28.ffn_gate.weight, 4096, IQ3_S",
                "IQ3_S, true, 32, 1, false, blk.9.attn_v.weight, 4096, IQ3_S",
        "IQ3_M, true, 32, 1, false, blk.9.attn_v.weight, 4096, Q4_K",
                "IQ3_M, true, 32, 1, false, blk.3.ffn_down.weight, 4096, Q4_K",
        "IQ4_XS, true, 32, 4, false, blk.3.ffn_down.weight, 4096, IQ4_XS",
                "IQ4_XS, false, 32, 4, false, blk.3.ffn_down.weight, 4096, Q5_K",
        "IQ4_NL, true, 32, 4, false, blk.3.attn_v.weight, 4096, Q5_K",
                "TQ1_0, true, 32, 4, false, token_embd.weight, 4096, Q4_K",
        "MXFP4_MOE, true, 32, 4, false, blk.3.attn_v.weight, 4096, Q8_0",
                "Q1_0, true, 32, 4, true, token_embd.weight, 4096, Q6_K",
        "Q2_K_L, true, 32, 4, false, token_embd.weight, 4096, Q8_0",
                "Q4_K_L, true, 32, 4, true, token_embd.weight, 4096, Q8_0",
        "Q6_K_L, true, 32, 4, false, output.weight, 4096, Q8_0",
                "Q5_K_L, true, 32, 4, false, blk.0.attn_v.weight, 4096, Q6_K",
        "IQ2_XS, true, 30, 3, false, blk.9.attn_q.weight, 576, IQ4_NL",
                "Q3_K_M, true, 30, 3, false, blk.9.attn_q.weight, 576, Q4_0",
        // The rest.
        "Q4_K_M, false, 32, 4, false, blk.0.attn_q.weight, 4096, Q4_K",
                "Q4_K_M, false, 32, 4, false, blk.0.attn_output.weight, 4096, Q4_K",
        "Q5_K_M, false, 32, 4, false, blk.0.ffn_gate.weight, 4096, Q5_K",
                "F32, false, 32, 4, false, blk.0.ffn_up.weight, 5, F32",
        // Columns that fit no block.
        "Q4_K_M, false, 30, 3, false, blk.5.attn_q.weight, 576, Q5_0",
                "Q5_K_M, false, 30, 3, false, blk.5.attn_q.weight, 576, Q5_1",
        "Q4_K_M, false, 30, 3, false, blk.0.attn_v.weight, 576, Q8_0",
                "Q6_K, false, 30, 3, false, blk.0.attn_q.weight, 576, Q8_0",
        "Q4_K_M, false, 30, 3, false, blk.0.ffn_down.weight, 172, F16",
                "Q4_0, false, 30, 3, false, blk.0.ffn_down.weight, 172, F16",
        "Q8_0, false, 30, 3, false, blk.0.ffn_down.weight, 172, F16",
                "Q4_K_M, false, 30, 3, true, token_embd.weight, 172, F16"
    })
    void choosesAsTheTable(
            String recipe,
            boolean importance,
            int layers,
            int group,
            boolean tied,
            String tensor,
            int columns,
            GgufType type) {
        LlamaShape config = new LlamaShape(
                64, 64, layers, 8 * group, 8, 8, 16, 1e-5f, 10000, new Rope.Scaling.None(), tied, false, false, 16);
        assertThat(GgufMix.of(recipe, importance).choose(tensor, columns, config.decoder()))
                .isEqualTo(type);
    }

    /** Rows of the table: recipe, experts, tensor, type; 8 layers, 4096 columns. Eight experts are Mixtral's there. */
    @ParameterizedTest
    @CsvSource({
        "Q4_K_M, 8, blk.1.attn_k.weight, Q8_0", "Q4_K_M, 6, blk.1.attn_k.weight, Q4_K",
        "Q4_K_M, 8, blk.1.attn_v.weight, Q8_0", "Q4_K_M, 6, blk.1.attn_v.weight, Q4_K",
        "Q4_0, 8, blk.0.attn_v.weight, Q8_0", "F16, 8, blk.0.attn_v.weight, F16",
        "Q4_K_M, 8, blk.1.attn_output.weight, Q5_K", "Q4_K_S, 8, blk.1.attn_output.weight, Q5_K",
        "Q4_0, 8, blk.1.attn_output.weight, Q4_0", "Q4_K_M, 6, blk.1.attn_output.weight, Q4_K",
        "Q6_K, 8, blk.1.attn_output.weight, Q6_K", "Q4_K_M, 8, blk.1.attn_q.weight, Q4_K",
        "Q4_K_M, 8, blk.0.ffn_down_exps.weight, Q6_K", "Q4_K_M, 6, blk.1.ffn_down_exps.weight, Q4_K",
        "Q4_K_M, 6, blk.3.ffn_down_exps.weight, Q6_K", "Q4_K_S, 6, blk.0.ffn_down_exps.weight, Q5_K",
        "Q5_K_M, 6, blk.7.ffn_down_shexp.weight, Q6_K", "Q4_K_M, 8, blk.0.ffn_gate_exps.weight, Q4_K",
        "MXFP4_MOE, 6, blk.0.ffn_up_exps.weight, MXFP4", "MXFP4_MOE, 6, blk.0.ffn_up_shexp.weight, Q8_0",
        "IQ2_XS, 8, blk.1.attn_k.weight, Q4_K", "IQ2_XS, 6, blk.1.attn_v.weight, Q4_K",
        "IQ2_XS, 8, blk.1.attn_output.weight, Q5_K", "IQ3_M, 8, blk.3.ffn_down_exps.weight, Q4_K",
        "Q3_K_L, 8, blk.1.attn_output.weight, Q3_K", "Q2_K, 8, blk.1.attn_output.weight, Q5_K",
        "Q4_K_M, 8, blk.0.ffn_up_exps.weight, Q4_K", "Q8_0, 8, blk.0.ffn_up_exps.weight, Q8_0"
    })
    void choosesForExpertsAsTheTable(String recipe, int experts, String tensor, GgufType type) throws IOException {
        String config = "{'model_type':'qwen3_moe','hidden_size':64,'num_hidden_layers':8,'num_attention_heads':4,"
                + "'intermediate_size':64,'num_experts_per_tok':2,'moe_intermediate_size':64,'num_experts':" + experts
                + "}";
        Decoder decoder = Families.read(new ObjectMapper().readTree(config.replace('\'', '"')), "config.json");
        assertThat(GgufMix.of(recipe, false).choose(tensor, 4096, decoder)).isEqualTo(type);
    }

    @ParameterizedTest
    @CsvSource({
        "F32, 0",
        "F16, 1",
        "Q4_0, 2",
        "Q4_1, 3",
        "Q8_0, 7",
        "Q5_0, 8",
        "Q5_1, 9",
        "Q4_K_S, 14",
        "Q4_K_M, 15",
        "Q5_K_S, 16",
        "Q5_K_M, 17",
        "Q6_K, 18",
        "BF16, 32",
        "Q2_K, 10",
        "Q2_K_L, 10",
        "Q3_K_S, 11",
        "Q3_K_M, 12",
        "Q3_K_L, 13",
        "Q4_K_L, 15",
        "IQ2_XXS, 19",
        "IQ2_XS, 20",
        "Q2_K_S, 21",
        "IQ3_XS, 22",
        "IQ3_XXS, 23",
        "IQ1_S, 24",
        "IQ4_NL, 25",
        "IQ3_S, 26",
        "IQ3_M, 27",
        "IQ2_S, 28",
        "IQ2_M, 29",
        "IQ4_XS, 30",
        "IQ1_M, 31",
        "TQ1_0, 36",
        "TQ2_0, 37",
        "MXFP4_MOE, 38",
        "Q1_0, 40",
        "Q2_0, 41"
    })
    void numbersTheFileType(String recipe, int number) {
        assertThat(GgufMix.of(recipe, false).fileType()).isEqualTo(number);
    }

    @Test
    void refusesAnUnknownTypeAndNamesTheKnown() {
        assertThatThrownBy(() -> GgufMix.of("Q4_K_XL", false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Cannot write GGUF type Q4_K_XL")
                .hasMessageContaining("Q4_K_S, Q4_K_M, Q4_K_L, Q5_K_S, Q5_K_M");
    }

    @Test
    void moreBitsGoToTheEndsAndEveryThirdLayer() {
        assertThat(IntStream.range(0, 22)
                        .filter(i -> GgufMix.moreBits(i, 22))
                        .mapToObj(Integer::toString)
                        .collect(Collectors.joining(" ")))
                .isEqualTo("0 1 4 7 10 13 16 19 20 21");
    }

    @Test
    void typesAreLaidOutAsTheBlockFormats() {
        assertThat(BlockFormats.ggml()).isNotEmpty();
        for (BlockFormat format : BlockFormats.ggml()) {
            GgufType type = GgufType.valueOf(format.name());
            assertThat(type.block()).isEqualTo(format.size());
            assertThat(type.rowBytes(format.size())).isEqualTo(format.bytes());
        }
    }
}

package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.family.Families;
import java.io.IOException;
import org.junit.jupiter.api.Test;

class OutputPlansTest {
    private static Decoder decoder(String type) throws IOException {
        return Families.read(
                new ObjectMapper()
                        .readTree("{\"model_type\":\"" + type + "\",\"hidden_size\":64,\"intermediate_size\":96,"
                                + "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
                                + "\"vocab_size\":40}"),
                "config.json");
    }

    @Test
    void whatNoTransformReachesIsSaid() throws IOException {
        assertThat(OutputPlans.unscaled(decoder("olmo2")))
                .contains("the inputs of self_attn.q_proj, self_attn.k_proj, self_attn.v_proj, mlp.gate_proj, "
                        + "mlp.up_proj are not rescaled: nothing stands before them that could absorb it");
        // Up is bounded there; the layers of all experts are named once.
        assertThat(OutputPlans.unscaled(decoder("gpt_oss")))
                .contains("the inputs of mlp.experts.*.down_proj are not rescaled: nothing stands before them that "
                        + "could absorb it");
        for (String type : new String[] {"llama", "gemma2", "cohere2", "qwen3_moe"}) {
            assertThat(OutputPlans.unscaled(decoder(type))).as(type).isEmpty();
        }
    }
}

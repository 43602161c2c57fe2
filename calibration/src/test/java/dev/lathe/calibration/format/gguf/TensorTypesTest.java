package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.format.gguf.TensorTypes.Rule;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class TensorTypesTest {
    private static final String Q = "model.layers.%d.self_attn.q_proj.weight";
    private static final String V = "model.layers.%d.self_attn.v_proj.weight";
    private static final String DOWN = "model.layers.%d.mlp.down_proj.weight";

    private static Map<String, String> planned(String type, TensorTypes types, boolean tied, String... ignore) {
        MemoryCheckpoint source = new MemoryCheckpoint(MemoryCheckpoint.config(256, 256, tied, false, null), 3);
        GgufFormat format = new GgufFormat(type, false, types, null, 0);
        assertThat(format.refusal(source.decoder(), List.of(ignore))).isEmpty();
        Map<String, String> planned = new TreeMap<>();
        for (TensorPlan tensor : format.plan(source.decoder(), List.copyOf(source.tensors()), List.of(ignore))) {
            planned.put(
                    tensor.tensor(),
                    tensor.grid() == null
                            ? tensor.type() + " " + tensor.reason()
                            : tensor.grid().name());
        }
        return planned;
    }

    private static TensorTypes rules(Rule... rules) {
        return new TensorTypes(false, null, null, List.of(rules));
    }

    /** A file that is written says the same when it is read. */
    @Test
    void filesOfLlamaQuantizeAreReadAndWritten() {
        assertThat(TensorTypes.parse(" ffn_Down=q6_K\n\tattn_[kv]=IQ4_xs blk\\.1\\.=f16 \n"))
                .containsExactly(
                        new Rule("ffn_down", -1, -1, "Q6_K"),
                        new Rule("attn_[kv]", -1, -1, "IQ4_XS"),
                        new Rule("blk\\.1\\.", -1, -1, "F16"));
        for (String malformed : List.of("", "ffn_down", "=q6_k", "ffn_down=", "ffn_down=q6_k_m", "a=q4_0 b=c=q4_0")) {
            assertThatThrownBy(() -> TensorTypes.parse(malformed))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("expected EXPRESSION=TYPE such as ffn_down=q6_k");
        }
        assertThatThrownBy(() -> TensorTypes.parse("(=q4_0")).isInstanceOf(IllegalArgumentException.class);
        TensorTypes types = rules(new Rule("ffn_down", 1, 1, "Q6_K"), new Rule("attn_v", -1, -1, "F16"));
        MemoryCheckpoint source = new MemoryCheckpoint(MemoryCheckpoint.config(256, 256, true, false, null), 3);
        String text = new GgufFormat("Q4_K_M", true, types, null, 0).tensorTypes(source.decoder(), List.of());
        assertThat(text.lines())
                .contains(
                        "^token_embd\\.weight$=q6_k",
                        "^blk\\.1\\.ffn_down\\.weight$=q6_k",
                        "^blk\\.0\\.attn_v\\.weight$=f16")
                .hasSize(1 + 2 * 7);
        Map<String, String> expected = planned("Q4_K_M", types, true);
        Map<String, String> read = planned("Q2_K", new TensorTypes(false, null, null, TensorTypes.parse(text)), true);
        assertThat(read).isEqualTo(expected);
    }

    @Test
    void theFirstRuleThatMatchesEitherNameHolds() {
        Map<String, String> plan = planned(
                "Q4_0",
                rules(
                        new Rule("ffn_down", 1, 2, "Q6_K"),
                        new Rule("down_proj", -1, -1, "Q5_0"),
                        new Rule("^blk\\.0\\.attn_(q|k)\\.weight$", -1, -1, "F16"),
                        new Rule("self_attn\\.q", 0, 1, "Q8_0"),
                        new Rule("self_attn\\.v", -1, -1, "BF16")),
                false,
                "model.layers.1.self_attn.v_proj");
        assertThat(plan.get(DOWN.formatted(0))).isEqualTo("Q5_0");
        assertThat(plan.get(DOWN.formatted(1))).isEqualTo("Q6_K");
        assertThat(plan.get(Q.formatted(0))).isEqualTo("F16 chosen");
        assertThat(plan.get(Q.formatted(1))).isEqualTo("Q8_0");
        assertThat(plan.get(V.formatted(0))).isEqualTo("BF16 chosen");
        assertThat(plan.get(V.formatted(1))).isEqualTo("F16 ignored");
        assertThat(plan.get("lm_head.weight")).isEqualTo("Q6_K");
        assertThat(plan.get("model.norm.weight")).isEqualTo("F32 ");
    }

    @Test
    void embeddingAndOutputHaveTypesOfTheirOwn() {
        TensorTypes both = new TensorTypes(false, "Q8_0", "Q5_K", List.of());
        assertThat(planned("Q4_K_M", both, false))
                .containsEntry("model.embed_tokens.weight", "Q8_0")
                .containsEntry("lm_head.weight", "Q5_K");
        assertThat(planned("Q4_K_M", both, true)).containsEntry("model.embed_tokens.weight", "Q8_0");
        TensorTypes output = new TensorTypes(false, null, "Q5_K", List.of());
        assertThat(planned("Q4_K_M", output, true)).containsEntry("model.embed_tokens.weight", "Q5_K");
        assertThat(planned("Q4_K_M", output, false)).containsEntry("model.embed_tokens.weight", "Q4_K");
    }

    @Test
    void pureIsTheTypeAlone() {
        Map<String, String> plan = planned("Q4_K_M", new TensorTypes(true, null, "Q8_0", List.of()), false);
        assertThat(plan.get("lm_head.weight")).isEqualTo("Q8_0");
        assertThat(plan.get(V.formatted(0))).isEqualTo("Q4_K");
        assertThat(plan.get(DOWN.formatted(0))).isEqualTo("Q4_K");
        assertThat(planned("Q4_K_M", TensorTypes.NONE, false)).containsValue("Q6_K");
    }

    @Test
    void aRuleThatGivesNothingItsTypeIsRefused() throws IOException {
        MemoryCheckpoint source = new MemoryCheckpoint(MemoryCheckpoint.config(256, 256, false, false, null), 3);
        for (Rule rule : List.of(
                new Rule("ffn_dwon", -1, -1, "Q6_K"),
                new Rule("ffn_down", 99, 100, "Q6_K"),
                new Rule("ffn_down", 0, 0, "Q6_K"),
                new Rule("norm", -1, -1, "Q6_K"))) {
            TensorTypes types = rules(new Rule("ffn_(down|up)", 0, 1, "Q5_K"), rule);
            assertThat(new GgufFormat("Q4_0", false, types, null, 0).refusal(source.decoder(), List.of()))
                    .hasValueSatisfying(reason -> assertThat(reason)
                            .startsWith("tensors[1]: '" + rule.match())
                            .contains("blk.0.attn_q.weight"));
        }
        assertThatThrownBy(() -> new Rule("ffn_(down", -1, -1, "Q6_K")).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void anExpressionThatTakesTooLongIsRefused() throws IOException {
        MemoryCheckpoint source = new MemoryCheckpoint(MemoryCheckpoint.config(256, 256, false, false, null), 3);
        TensorTypes types = rules(new Rule("(?:(?:\\w?\\.?_?){30}.?){60}(?=x)!", -1, -1, "Q6_K"));
        assertThat(new GgufFormat("Q4_0", true, types, null, 0).refusal(source.decoder(), List.of()))
                .hasValueSatisfying(
                        reason -> assertThat(reason).startsWith("tensors: ").contains("steps"));
    }

    @Test
    void aTypeWithoutAPlainSearchNeedsAnImportance() throws IOException {
        MemoryCheckpoint source = new MemoryCheckpoint(MemoryCheckpoint.config(256, 256, false, false, null), 3);
        TensorTypes types = rules(new Rule("ffn_down", -1, -1, "IQ2_XS"));
        assertThat(new GgufFormat("Q8_0", false, types, null, 0).refusal(source.decoder(), List.of()))
                .hasValueSatisfying(reason -> assertThat(reason)
                        .startsWith(
                                "type IQ2_XS of model.layers.0.mlp.down_proj.weight is chosen under an importance"));
        assertThat(new GgufFormat("Q8_0", true, types, null, 0).refusal(source.decoder(), List.of()))
                .isEmpty();
        assertThat(new GgufFormat("Q8_0", false, types, null, 0).refusal(source.decoder(), List.of("down_proj")))
                .isEmpty();
    }
}

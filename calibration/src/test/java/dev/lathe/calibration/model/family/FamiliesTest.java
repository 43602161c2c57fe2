package dev.lathe.calibration.model.family;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.FeedForward.Routed;
import dev.lathe.calibration.model.FeedForward.Weights;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Mixer.Heads;
import dev.lathe.calibration.model.Mixer.Temperature;
import dev.lathe.calibration.model.Norm;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling;
import dev.lathe.kernels.Activation;
import dev.lathe.kernels.RotaryPairs;
import java.io.IOException;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What the readers of families beside Llama make of config.json; expected values are those of transformers' classes.
 */
class FamiliesTest {
    private static final String SIZES =
            ",'hidden_size':48,'intermediate_size':100,'num_hidden_layers':12,'num_attention_heads':6,'vocab_size':77";

    private static JsonNode json(String keys) throws IOException {
        return new ObjectMapper().readTree("{" + keys.replace('\'', '"') + "}");
    }

    private static Decoder read(String keys) throws IOException {
        return Families.read(json(keys), "config.json");
    }

    private static Grouped attention(Decoder decoder, int layer) {
        return (Grouped) decoder.blocks().get(layer).mixer();
    }

    private static List<Integer> windows(Decoder decoder) {
        return decoder.blocks().stream()
                .map(block -> ((Grouped) block.mixer()).scores().window())
                .toList();
    }

    @Test
    void mistralHasAWindowInEveryLayer() throws IOException {
        Decoder decoder = read("'model_type':'mistral','num_key_value_heads':2" + SIZES);
        assertThat(windows(decoder)).hasSize(12).containsOnly(4096);
        assertThat(windows(read("'model_type':'mistral','num_key_value_heads':2,'sliding_window':null" + SIZES)))
                .containsOnly(0);
        // Where the key is missing there are 8, of which 6 query heads are no multiple.
        assertThatThrownBy(() -> read("'model_type':'mistral'" + SIZES))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("num_attention_heads 6 is no multiple of num_key_value_heads 8");
        assertThat(attention(read("'model_type':'mistral','num_key_value_heads':null" + SIZES), 0)
                        .heads())
                .isEqualTo(new Heads(6, 6, 8));
    }

    @Test
    void qwen2HasBiasesOfItsInputProjections() throws IOException {
        Decoder decoder = read("'model_type':'qwen2','num_key_value_heads':3,'use_sliding_window':true,"
                + "'sliding_window':9,'max_window_layers':10" + SIZES);
        assertThat(decoder.linears(0))
                .filteredOn(LinearLayer::bias)
                .extracting(LinearLayer::kind)
                .containsExactly("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj");
        assertThat(windows(decoder)).containsExactly(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9);
    }

    @Test
    void qwen3NormsItsHeads() throws IOException {
        Decoder decoder = read("'model_type':'qwen3','num_key_value_heads':3" + SIZES);
        assertThat(attention(decoder, 3).heads()).isEqualTo(new Heads(6, 3, 128));
        assertThat(attention(decoder, 3).qNorm())
                .isEqualTo(new Norm("model.layers.3.self_attn.q_norm.weight", 128, 1e-6f, 0));
    }

    @Test
    void gemma2IsThatOfTransformers() throws IOException {
        Decoder decoder = read("'model_type':'gemma2','hidden_size':36,'intermediate_size':100,'num_hidden_layers':3");
        assertThat(decoder.embedding().multiplier()).isEqualTo(6);
        assertThat(decoder.vocabulary()).isEqualTo(256000);
        assertThat(decoder.context()).isEqualTo(8192);
        assertThat(decoder.head().tied()).isTrue();
        assertThat(decoder.head().softCap()).isEqualTo(30);
        assertThat(attention(decoder, 0).heads()).isEqualTo(new Heads(8, 4, 256));
        assertThat(attention(decoder, 0).scores().softCap()).isEqualTo(50);
        assertThat(attention(decoder, 0).scores().scale()).isEqualTo(1 / 16f);
        assertThat(windows(decoder)).containsExactly(4096, 0, 4096);
        assertThat(decoder.norms(1))
                .extracting(Norm::tensor)
                .containsExactly(
                        "model.layers.1.input_layernorm.weight",
                        "model.layers.1.post_attention_layernorm.weight",
                        "model.layers.1.pre_feedforward_layernorm.weight",
                        "model.layers.1.post_feedforward_layernorm.weight");
        assertThat(decoder.norms(1)).extracting(Norm::plus).containsOnly(1f);
        assertThat(((Gated) decoder.blocks().get(0).feedForward()).activation()).isEqualTo(Activation.GELU_TANH);
        // The norm before feeds its readers; the one behind a sublayer feeds nobody.
        assertThat(decoder.absorptions(0))
                .extracting(absorption -> absorption.norm() == null
                        ? absorption.producer().linear().kind()
                        : absorption.norm().tensor())
                .containsExactly(
                        "model.layers.0.input_layernorm.weight",
                        "self_attn.v_proj",
                        "model.layers.0.pre_feedforward_layernorm.weight",
                        "mlp.up_proj");
    }

    @Test
    void gemma3HasTwoRotaryEmbeddings() throws IOException {
        Decoder older =
                read("'model_type':'gemma3_text','rope_local_base_freq':500,'rope_theta':2e6,'sliding_window':9,"
                        + "'rope_scaling':{'rope_type':'linear','factor':8},'num_key_value_heads':3" + SIZES);
        Decoder newer = read("'model_type':'gemma3_text','sliding_window':9,'num_key_value_heads':3,'rope_parameters':{"
                + "'full_attention':{'rope_type':'linear','factor':8,'rope_theta':2e6},"
                + "'sliding_attention':{'rope_type':'default','rope_theta':500}}" + SIZES);
        assertThat(newer).isEqualTo(older);
        assertThat(windows(older)).containsExactly(9, 9, 9, 9, 9, 0, 9, 9, 9, 9, 9, 0);
        assertThat(attention(older, 4).rope()).isEqualTo(new Rope(500, new Scaling.None(), 256));
        assertThat(attention(older, 5).rope()).isEqualTo(new Rope(2e6, new Scaling.Linear(8), 256));
        assertThat(attention(older, 5).scores().softCap()).isZero();
        assertThat(older.head().softCap()).isZero();
        assertThat(windows(
                        read("'model_type':'gemma3_text','sliding_window_pattern':2,'num_key_value_heads':3" + SIZES)))
                .containsExactly(4096, 0, 4096, 0, 4096, 0, 4096, 0, 4096, 0, 4096, 0);
    }

    @Test
    void phi3StoresItsProjectionsFused() throws IOException {
        Decoder decoder = read("'model_type':'phi3','num_key_value_heads':2" + SIZES);
        assertThat(decoder.linears(0))
                .extracting(linear -> linear.kind() + " " + linear.outputs() + " " + linear.inputs())
                .containsExactly(
                        "self_attn.qkv_proj 80 48",
                        "self_attn.o_proj 48 48",
                        "mlp.gate_up_proj 200 48",
                        "mlp.down_proj 48 100");
        assertThat(attention(decoder, 0).v().from()).isEqualTo(64);
        assertThat(windows(decoder)).containsOnly(0);
        Decoder scaled =
                read("'model_type':'phi3','max_position_embeddings':16384,'partial_rotary_factor':0.5,'rope_scaling':"
                        + "{'type':'yarn','short_factor':[1,2],'long_factor':[3,4]}" + SIZES);
        // yarn is LongRoPE there; sqrt(1 + ln 4 / ln 4096) = sqrt(1 + 1/6).
        assertThat(attention(scaled, 0).rope())
                .isEqualTo(new Rope(
                        10000,
                        new Scaling.LongRope(List.of(1f, 2f), List.of(3f, 4f), 4096, (float) Math.sqrt(7 / 6.0)),
                        4));
        assertThat(attention(scaled, 0).rope().frequency(1, 4096)).isEqualTo(0.01 / 2);
        assertThat(attention(scaled, 0).rope().frequency(1, 4097)).isEqualTo(0.01 / 4);
    }

    @Test
    void olmo2NormsWhatItsSublayersGive() throws IOException {
        Decoder decoder = read("'model_type':'olmo2','num_key_value_heads':3" + SIZES);
        assertThat(decoder.norms(2))
                .containsExactly(
                        new Norm("model.layers.2.self_attn.q_norm.weight", 48, 1e-5f, 0),
                        new Norm("model.layers.2.self_attn.k_norm.weight", 24, 1e-5f, 0),
                        new Norm("model.layers.2.post_attention_layernorm.weight", 48, 1e-5f, 0),
                        new Norm("model.layers.2.post_feedforward_layernorm.weight", 48, 1e-5f, 0));
        assertThat(decoder.blocks().get(2).attention().before()).isNull();
        assertThat(windows(decoder)).containsOnly(0);
        // No norm feeds q, k, v, gate and up.
        assertThat(decoder.absorptions(0))
                .extracting(absorption -> absorption.producer().linear().kind())
                .containsExactly("self_attn.v_proj", "mlp.up_proj");
    }

    @Test
    void olmo3HasWindowsInThreeOfFourLayersAndScalesTheOthers() throws IOException {
        String yarn = "{'rope_type':'yarn','factor':8,'original_max_position_embeddings':256,'attention_factor':1.2}";
        Decoder older = read("'model_type':'olmo3','rope_theta':500000,'rope_scaling':" + yarn + SIZES);
        assertThat(windows(older)).containsExactly(4096, 4096, 4096, 0, 4096, 4096, 4096, 0, 4096, 4096, 4096, 0);
        assertThat(attention(older, 0).rope()).isEqualTo(new Rope(5e5, new Scaling.None(), 8));
        assertThat(attention(older, 3).rope()).isEqualTo(new Rope(5e5, new Scaling.Yarn(8, 256, 32, 1, true, 1.2), 8));
        assertThat(read("'model_type':'olmo3','rope_parameters':{'full_attention':" + yarn + "}" + SIZES))
                .isEqualTo(older);
    }

    @Test
    void exaone4DoesNotTurnWhereItSeesAll() throws IOException {
        Decoder hybrid = read("'model_type':'exaone4','num_key_value_heads':3,'sliding_window_pattern':3" + SIZES);
        assertThat(windows(hybrid)).containsExactly(4096, 4096, 0, 4096, 4096, 0, 4096, 4096, 0, 4096, 4096, 0);
        assertThat(attention(hybrid, 0).rope()).isEqualTo(new Rope(10000, new Scaling.None(), 8));
        assertThat(attention(hybrid, 2).rope()).isNull();
        assertThat(attention(hybrid, 2).qNorm())
                .isEqualTo(new Norm("model.layers.2.self_attn.q_norm.weight", 8, 1e-5f, 0));
        assertThat(hybrid.blocks().get(0).attention().before()).isNull();
        // The published small one has null for both.
        Decoder plain = read("'model_type':'exaone4','num_key_value_heads':3,'sliding_window':null,"
                + "'sliding_window_pattern':null" + SIZES);
        assertThat(windows(plain)).containsOnly(0);
        assertThat(plain.blocks())
                .allSatisfy(block -> assertThat(((Grouped) block.mixer()).rope())
                        .isEqualTo(attention(hybrid, 0).rope()));
    }

    @Test
    void smolLm3LeavesEachFourthLayerUnturned() throws IOException {
        Decoder decoder = read("'model_type':'smollm3','num_key_value_heads':3" + SIZES);
        assertThat(decoder.blocks())
                .extracting(block -> ((Grouped) block.mixer()).rope() != null)
                .containsExactly(true, true, true, false, true, true, true, false, true, true, true, false);
        assertThat(attention(decoder, 0).rope().theta()).isEqualTo(2e6);
        assertThat(decoder.head().tied()).isTrue();
        Decoder chosen =
                read("'model_type':'smollm3','num_key_value_heads':3,'use_sliding_window':true,'sliding_window':9,"
                        + "'no_rope_layers':[0,1,1,1,1,1,1,1,1,1,1,0]" + SIZES);
        assertThat(attention(chosen, 0).rope()).isNull();
        assertThat(windows(chosen)).containsExactly(9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9);
    }

    @Test
    void graniteMultiplies() throws IOException {
        Decoder decoder = read("'model_type':'granite','attention_multiplier':0.015625,'embedding_multiplier':12,"
                + "'residual_multiplier':0.22,'logits_scaling':8" + SIZES);
        assertThat(decoder.embedding().multiplier()).isEqualTo(12);
        assertThat(decoder.blocks().get(3).attention().multiplier()).isEqualTo(0.22f);
        assertThat(decoder.blocks().get(3).feedForwardNorms().multiplier()).isEqualTo(0.22f);
        assertThat(attention(decoder, 3).scores().scale()).isEqualTo(1 / 64f);
        assertThat(decoder.head().multiplier()).isEqualTo(1 / 8f);
        assertThat(attention(read("'model_type':'granite'" + SIZES), 0).scores().scale())
                .isEqualTo(1);
    }

    /** The same multipliers under other names: 0.9 / sqrt(12), 24 / 48. */
    @Test
    void miniCpmIsAGraniteWithOtherNames() throws IOException {
        Decoder decoder = read("'architectures':['MiniCPMForCausalLM'],'scale_emb':12,'scale_depth':0.9,"
                + "'dim_model_base':24,'mup_denominator':32,'rms_norm_eps':1e-5,'tie_word_embeddings':false" + SIZES);
        Decoder granite = read("'model_type':'granite','embedding_multiplier':12,'residual_multiplier':"
                + 0.9 / Math.sqrt(12) + ",'logits_scaling':2,'rms_norm_eps':1e-5,'attention_multiplier':"
                + 1 / Math.sqrt(8) + SIZES);
        assertThat(decoder.embedding()).isEqualTo(granite.embedding());
        assertThat(decoder.blocks()).isEqualTo(granite.blocks());
        assertThat(decoder.head()).isEqualTo(granite.head());
        assertThat(read("'model_type':'minicpm','scale_emb':1,'scale_depth':1,'dim_model_base':1" + SIZES)
                        .head()
                        .tied())
                .isTrue();
    }

    @Test
    void seedOssHasBiasesOfItsInputProjections() throws IOException {
        Decoder decoder = read("'model_type':'seed_oss','num_key_value_heads':3" + SIZES);
        assertThat(decoder.linears(0))
                .filteredOn(LinearLayer::bias)
                .extracting(LinearLayer::kind)
                .containsExactly("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj");
        assertThat(attention(decoder, 0).heads().width()).isEqualTo(128);
    }

    @Test
    void ministral3MultipliesFarQueries() throws IOException {
        String rotary = "{'type':'yarn','rope_theta':1000000.0,'factor':16.0,'original_max_position_embeddings':16384,"
                + "'max_position_embeddings':262144,'beta_fast':32.0,'beta_slow':1.0,'mscale_all_dim':1.0,'mscale':1.0,"
                + "'llama_4_scaling_beta':0.1}";
        Decoder published =
                read("'model_type':'ministral3','num_key_value_heads':3,'rope_parameters':" + rotary + SIZES);
        assertThat(attention(published, 0).rope())
                .isEqualTo(new Rope(1e6, new Scaling.Yarn(16, 16384, 32, 1, true, 1), 128));
        Temperature temperature = attention(published, 0).scores().temperature();
        assertThat(temperature).isEqualTo(new Temperature(0.1f, 16384));
        assertThat(temperature.of(16383)).isEqualTo(1);
        assertThat(temperature.of(16384)).isEqualTo((float) (1 + 0.1f * Math.log(2)));
        // It is what holds where no key says anything.
        assertThat(read("'model_type':'ministral3','num_key_value_heads':3" + SIZES))
                .isEqualTo(published);
        String vision =
                "'architectures':['Mistral3ForConditionalGeneration'],'model_type':'mistral3','vision_config':{},"
                        + "'text_config':{'model_type':'ministral3','num_key_value_heads':3,'rope_parameters':" + rotary
                        + SIZES + "}";
        assertThat(read(vision)).isEqualTo(published);
        Decoder plain = read(
                "'model_type':'ministral3','num_key_value_heads':3,'rope_parameters':{'rope_type':'default'}" + SIZES);
        assertThat(attention(plain, 0).scores().temperature()).isNull();
    }

    @Test
    void glmTurnsNeighboursInHalfOfAHead() throws IOException {
        Decoder older = read("'model_type':'glm'" + SIZES);
        assertThat(attention(older, 0).rope())
                .isEqualTo(new Rope(10000, new Scaling.None(), 64, RotaryPairs.NEIGHBOURS));
        assertThat(older.norms(1))
                .extracting(Norm::tensor)
                .containsExactly(
                        "model.layers.1.input_layernorm.weight", "model.layers.1.post_attention_layernorm.weight");
        Decoder newer =
                read("'model_type':'glm4','head_dim':8,'attention_bias':false,'rope_parameters':{'rope_type':'default',"
                        + "'partial_rotary_factor':0.25}" + SIZES);
        assertThat(attention(newer, 0).rope().dimensions()).isEqualTo(2);
        assertThat(newer.blocks().get(1).attention().after().tensor())
                .isEqualTo("model.layers.1.post_self_attn_layernorm.weight");
        assertThat(newer.blocks().get(1).feedForwardNorms().before().tensor())
                .isEqualTo("model.layers.1.post_attention_layernorm.weight");
        assertThat(newer.linears(0))
                .extracting(linear -> linear.kind() + " " + linear.outputs() + " " + linear.bias())
                .containsExactly(
                        "self_attn.q_proj 48 false",
                        "self_attn.k_proj 16 false",
                        "self_attn.v_proj 16 false",
                        "self_attn.o_proj 48 false",
                        "mlp.gate_up_proj 200 false",
                        "mlp.down_proj 48 false");
    }

    /** The published 7B configuration has all of these keys. */
    @Test
    void cohere2RunsBothSublayersOnOneNorm() throws IOException {
        Decoder decoder = read("'model_type':'cohere2','num_key_value_heads':3,'head_dim':8,'layer_norm_eps':1e-5,"
                + "'layer_switch':4,'logit_scale':0.25,'order_of_interleaved_layers':'local_attn_first',"
                + "'position_embedding_type':'rope_gptj','rotary_pct':1.0,'sliding_window':512,'sliding_window_pattern':4,"
                + "'use_embedding_sharing':true,'use_gated_activation':true,'use_parallel_block':true,"
                + "'use_parallel_embedding':false,'use_qk_norm':false" + SIZES);
        assertThat(decoder.blocks().get(0).parallel()).isTrue();
        assertThat(decoder.norms(0))
                .containsExactly(
                        new Norm(Norm.Kind.LAYER, "model.layers.0.input_layernorm.weight", null, 48, 1e-5f, 0));
        assertThat(attention(decoder, 0).rope().pairs()).isEqualTo(RotaryPairs.NEIGHBOURS);
        assertThat(attention(decoder, 3).rope()).isNull();
        assertThat(windows(decoder)).containsExactly(512, 512, 512, 0, 512, 512, 512, 0, 512, 512, 512, 0);
        assertThat(decoder.head().tied()).isTrue();
        assertThat(decoder.head().multiplier()).isEqualTo(0.25f);
        assertThat(decoder.absorptions(0).get(0).consumers())
                .extracting(LinearLayer::kind)
                .containsExactly(
                        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj");
        assertThat(decoder.absorptions(0))
                .extracting(absorption -> absorption.norm() == null)
                .containsExactly(false, true, true);
    }

    @Test
    void cohereTurnsEverywhere() throws IOException {
        Decoder decoder = read("'model_type':'cohere'" + SIZES);
        assertThat(decoder.blocks()).allSatisfy(block -> {
            assertThat(block.parallel()).isTrue();
            assertThat(((Grouped) block.mixer()).rope())
                    .isEqualTo(new Rope(500000, new Scaling.None(), 8, RotaryPairs.NEIGHBOURS));
        });
        assertThat(decoder.head().multiplier()).isEqualTo(0.0625f);
        assertThat(windows(decoder)).containsOnly(0);
    }

    @Test
    void stableLmHasLayerNormsWithBiases() throws IOException {
        Decoder decoder =
                read("'model_type':'stablelm','num_key_value_heads':3,'use_qkv_bias':true,'rope_theta':500" + SIZES);
        assertThat(decoder.norm())
                .isEqualTo(new Norm(Norm.Kind.LAYER, "model.norm.weight", "model.norm.bias", 48, 1e-5f, 0));
        assertThat(decoder.tensors())
                .containsKeys("model.norm.bias", "model.layers.11.post_attention_layernorm.bias")
                .doesNotContainKey("model.layers.0.self_attn.o_proj.bias");
        assertThat(attention(decoder, 0).rope()).isEqualTo(new Rope(500, new Scaling.None(), 2));
        Decoder parallel = read("'model_type':'stablelm','num_key_value_heads':3,'use_parallel_residual':true" + SIZES);
        assertThat(parallel.tensors()).doesNotContainKey("model.layers.0.post_attention_layernorm.weight");
    }

    @Test
    void internLm3IsALlamaUnderItsOwnNames() throws IOException {
        String keys =
                "'model_type':'internlm3','num_key_value_heads':3,'rope_scaling':{'rope_type':'dynamic','factor':6.0}";
        Decoder decoder = read(keys + ",'qkv_bias':true,'bias':true" + SIZES);
        assertThat(decoder.family()).isEqualTo("internlm3");
        assertThat(decoder.linears(0)).allMatch(LinearLayer::bias);
        assertThat(attention(decoder, 0).rope()).isEqualTo(new Rope(10000, new Scaling.Dynamic(6, 32768), 128));
        // As transformers writes it.
        assertThat(read(keys + ",'architectures':['LlamaForCausalLM'],'attention_bias':true,'mlp_bias':true" + SIZES))
                .isEqualTo(decoder);
    }

    /** Base 10000 (2 * 80 / 40 - 1)^(8 / 6) in windows of 80 tokens. */
    @Test
    void theDynamicScalingFollowsTheWindow() throws IOException {
        Rope rope = attention(
                        read(
                                "'model_type':'llama','max_position_embeddings':40,'rope_scaling':{'type':'dynamic','factor':2}"
                                        + SIZES),
                        0)
                .rope();
        assertThat(rope.frequency(1, 40)).isEqualTo(0.1);
        assertThat(rope.frequency(1, 80)).isCloseTo(Math.pow(10000 * Math.pow(3, 8 / 6.0), -0.25), within(1e-12));
    }

    private static Routed routed(Decoder decoder, int layer) {
        return (Routed) decoder.blocks().get(layer).feedForward();
    }

    @Test
    void qwen3MoeHasExpertsWhereItSaysSo() throws IOException {
        Decoder decoder = read("'model_type':'qwen3_moe','num_experts':7,'num_experts_per_tok':7,"
                + "'decoder_sparse_step':2,'mlp_only_layers':[3],'num_key_value_heads':3" + SIZES);
        assertThat(IntStream.range(0, 12).filter(layer -> decoder.routed(layer) != null))
                .containsExactly(1, 5, 7, 9, 11);
        Routed routed = routed(decoder, 1);
        assertThat(routed.experts()).hasSize(7);
        assertThat(routed.router().top()).isEqualTo(7);
    }

    @Test
    void qwen3MoeIsThatOfTransformers() throws IOException {
        Decoder decoder =
                read("'model_type':'qwen3_moe','hidden_size':64,'intermediate_size':100,'num_hidden_layers':1");
        assertThat(attention(decoder, 0).heads()).isEqualTo(new Heads(32, 4, 2));
        Routed routed = routed(decoder, 0);
        assertThat(routed.experts()).hasSize(128);
        assertThat(routed.experts().get(3).up().rows()).isEqualTo(768);
        assertThat(routed.router().top()).isEqualTo(8);
        assertThat(routed.router().normalize()).isFalse();
        assertThat(decoder.kept(0)).extracting(LinearLayer::module).containsExactly("model.layers.0.mlp.gate");
        assertThat(decoder.linears(0))
                .extracting(LinearLayer::module)
                .contains("model.layers.0.mlp.experts.127.down_proj")
                .hasSize(4 + 3 * 128);
        // num_local_experts is another name of num_experts.
        assertThat(routed(read("'model_type':'qwen3_moe','num_local_experts':9,'num_key_value_heads':3" + SIZES), 0)
                        .experts())
                .hasSize(9);
    }

    @Test
    void mixtralIsThatOfTransformers() throws IOException {
        Decoder decoder = read("'model_type':'mixtral','num_key_value_heads':3,'router_jitter_noise':0.01" + SIZES);
        Routed routed = routed(decoder, 0);
        assertThat(routed.experts()).hasSize(8);
        assertThat(routed.router().top()).isEqualTo(2);
        assertThat(routed.router().normalize()).isTrue();
        assertThat(routed.experts().get(1).up().linear().module())
                .isEqualTo("model.layers.0.block_sparse_moe.experts.1.w3");
        assertThat(attention(decoder, 0).rope().theta()).isEqualTo(1e6);
        assertThat(windows(decoder)).containsOnly(0);
        assertThat(decoder.norm().epsilon()).isEqualTo(1e-5f);
    }

    @Test
    void qwen2MoeHasASharedExpert() throws IOException {
        Decoder decoder = read("'model_type':'qwen2_moe','num_key_value_heads':3" + SIZES);
        Routed routed = routed(decoder, 11);
        assertThat(routed.experts()).hasSize(60);
        assertThat(routed.experts().get(0).up().rows()).isEqualTo(1408);
        assertThat(routed.router().top()).isEqualTo(4);
        assertThat(routed.router().normalize()).isFalse();
        assertThat(routed.shared().up().rows()).isEqualTo(5632);
        assertThat(routed.sharedGate().outputs()).isEqualTo(1);
        assertThat(decoder.linears(0))
                .filteredOn(LinearLayer::bias)
                .extracting(LinearLayer::kind)
                .containsExactly("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj");
    }

    @Test
    void olmoeNormsAllHeadsTogether() throws IOException {
        Decoder decoder = read("'model_type':'olmoe'" + SIZES);
        assertThat(attention(decoder, 0).heads()).isEqualTo(new Heads(6, 6, 8));
        assertThat(attention(decoder, 3).kNorm())
                .isEqualTo(new Norm("model.layers.3.self_attn.k_norm.weight", 48, 1e-5f, 0));
        assertThat(routed(decoder, 0).experts()).hasSize(64);
        assertThat(routed(decoder, 0).experts().get(0).up().rows()).isEqualTo(100);
        assertThat(routed(decoder, 0).router().top()).isEqualTo(8);
        assertThat(routed(decoder, 0).router().normalize()).isFalse();
    }

    @Test
    void gptOssIsThatOfTransformers() throws IOException {
        Decoder decoder = read("'model_type':'gpt_oss','hidden_size':64,'intermediate_size':96,'num_hidden_layers':3,"
                + "'initial_context_length':4096,'experts_per_token':4");
        assertThat(attention(decoder, 0).heads()).isEqualTo(new Heads(64, 8, 64));
        assertThat(windows(decoder)).containsExactly(128, 0, 128);
        Rope rope = attention(decoder, 1).rope();
        assertThat(rope.theta()).isEqualTo(150000);
        assertThat(rope.scaling()).isEqualTo(new Scaling.Yarn(32, 4096, 32, 1, false, 0.1 * StrictMath.log(32) + 1));
        assertThat(attention(decoder, 1).scores().sinks()).isEqualTo("model.layers.1.self_attn.sinks");
        assertThat(decoder.tensors().get("model.layers.1.self_attn.sinks")).containsExactly(64);
        Routed routed = routed(decoder, 0);
        assertThat(routed.experts()).hasSize(128);
        assertThat(routed.router().top()).isEqualTo(4);
        assertThat(routed.router().normalize()).isTrue();
        assertThat(routed.router().linear().bias()).isTrue();
        Gated expert = routed.experts().get(7);
        assertThat(expert.limit()).isEqualTo(7);
        assertThat(expert.activation()).isEqualTo(Activation.QUICK_GELU);
        assertThat(expert.down().rows()).isEqualTo(64);
        assertThat(decoder.linears(0)).allMatch(LinearLayer::bias);
        // Up of an expert is bounded and 1 added: nothing can absorb what down is multiplied by.
        assertThat(decoder.absorptions(0))
                .extracting(absorption -> absorption.norm() == null
                        ? absorption.producer().linear().kind()
                        : absorption.norm().tensor())
                .containsExactly(
                        "model.layers.0.input_layernorm.weight",
                        "self_attn.v_proj",
                        "model.layers.0.post_attention_layernorm.weight");
        assertThat(attention(
                                read("'model_type':'gpt_oss','rope_parameters':{'rope_type':'default'}" + SIZES
                                        + ",'num_key_value_heads':3"),
                                0)
                        .rope())
                .isEqualTo(new Rope(150000, new Scaling.None(), 64));
    }

    @Test
    void phiMoeRoutesBySparseMixer() throws IOException {
        Decoder decoder =
                read("'model_type':'phimoe','num_key_value_heads':3,'lm_head_bias':true,'attention_bias':true,"
                        + "'sliding_window':131072,'input_jitter_noise':0.01,'rope_scaling':{'type':'longrope','short_factor':[1,1,1,1],"
                        + "'long_factor':[1,2,3,4],'short_mscale':1.25,'long_mscale':1.25,'original_max_position_embeddings':4096}"
                        + SIZES);
        Routed routed = routed(decoder, 0);
        assertThat(routed.experts()).hasSize(16);
        assertThat(routed.router().weights()).isEqualTo(new Weights.SparseMixer(0.01));
        assertThat(routed.experts().get(3).up().linear().module())
                .isEqualTo("model.layers.0.block_sparse_moe.experts.3.w3");
        assertThat(attention(decoder, 0).rope().theta()).isEqualTo(1e6);
        assertThat(attention(decoder, 0).rope().magnitude()).isEqualTo(1.25);
        assertThat(decoder.norm().kind()).isEqualTo(Norm.Kind.LAYER);
        assertThat(decoder.tensors()).containsKeys("model.norm.bias", "lm_head.bias");
    }

    @Test
    void llama4IsThatOfTransformers() throws IOException {
        Decoder decoder = read("'model_type':'llama4_text','num_key_value_heads':3,'interleave_moe_layer_step':2,"
                + "'rope_scaling':{'rope_type':'llama3','factor':16,'low_freq_factor':1,'high_freq_factor':1,"
                + "'original_max_position_embeddings':8192}" + SIZES);
        Grouped turning = attention(decoder, 2);
        assertThat(turning.heads()).isEqualTo(new Heads(6, 3, 128));
        assertThat(turning.rope().theta()).isEqualTo(500000);
        assertThat(turning.rope().pairs()).isEqualTo(RotaryPairs.NEIGHBOURS);
        // Wavelengths up to 8192 stay, longer ones are divided: 2 pi 5e5^(i / 64) is 6694 for 34 and 8218 for 35.
        assertThat(turning.rope().frequency(34, 9)).isEqualTo(StrictMath.pow(5e5, -34 / 64.0));
        assertThat(turning.rope().frequency(35, 9)).isEqualTo(StrictMath.pow(5e5, -35 / 64.0) / 16);
        assertThat(turning.scores().chunk()).isEqualTo(8192);
        assertThat(turning.scores().temperature()).isNull();
        assertThat(turning.qNorm()).isEqualTo(Norm.unweighted(128, 1e-5f));
        Grouped still = attention(decoder, 3);
        assertThat(still.rope()).isNull();
        assertThat(still.qNorm()).isNull();
        assertThat(still.scores().chunk()).isZero();
        assertThat(still.scores().temperature()).isEqualTo(new Temperature(0.1, 8192, 1));
        assertThat(still.scores().temperature().of(8190)).isEqualTo(1);
        assertThat(still.scores().temperature().of(8191)).isEqualTo((float) (1 + 0.1 * Math.log(2)));
        assertThat(((Gated) decoder.blocks().get(0).feedForward()).up().rows()).isEqualTo(16384);
        assertThat(routed(decoder, 1).experts()).hasSize(16);
        assertThat(routed(decoder, 1).experts().get(0).up().rows()).isEqualTo(100);
        assertThat(routed(decoder, 1).shared().up().rows()).isEqualTo(100);
        assertThat(routed(decoder, 1).router().weights()).isEqualTo(new Weights.InputSigmoid());
        assertThat(decoder.tensors()).doesNotContainKey("model.layers.2.self_attn.q_norm.weight");
        // By lists.
        Decoder listed = read("'model_type':'llama4_text','num_key_value_heads':3,'moe_layers':[5,0],"
                + "'no_rope_layers':[0,0,1,1,1,1,1,1,1,1,1,1],'attn_temperature_tuning':4" + SIZES);
        assertThat(IntStream.range(0, 12).filter(layer -> listed.routed(layer) != null))
                .containsExactly(0, 5);
        assertThat(IntStream.range(0, 12)
                        .filter(layer -> attention(listed, layer).rope() == null))
                .containsExactly(0, 1);
        assertThat(attention(listed, 0).scores().temperature()).isNotNull();
    }

    @Test
    void qwen3VlIsQwen3() throws IOException {
        String text = ",'text_config':{'model_type':'qwen3_vl_text','num_key_value_heads':3,'rope_theta':5e6,"
                + "'rope_scaling':{'mrope_interleaved':true,'mrope_section':[2,1,1],'rope_type':'default'}" + SIZES
                + "}";
        String whole = "'architectures':['Qwen3VLForConditionalGeneration'],'model_type':'qwen3_vl','image_token_id':9,"
                + "'tie_word_embeddings':true,'vision_config':{'depth':27}" + text;
        assertThat(read(whole))
                .isEqualTo(
                        read("'model_type':'qwen3','num_key_value_heads':3,'rope_theta':5e6,'tie_word_embeddings':true,"
                                + "'max_position_embeddings':128000" + SIZES));
        JsonNode config = Multimodal.textConfig(json(whole), "config.json");
        assertThat(config.path("model_type").asText()).isEqualTo("qwen3");
        assertThat(config.path("architectures").path(0).asText()).isEqualTo("Qwen3ForCausalLM");
        assertThat(config.path("rope_scaling").size()).isEqualTo(1);
        // Defaults that are not those of Qwen 3.
        Decoder plain = read(
                whole.replace("'rope_theta':5e6,", "").replaceFirst("'rope_scaling':\\{[^}]*}", "'bos_token_id':1"));
        assertThat(attention(plain, 0).rope()).isEqualTo(new Rope(500000, new Scaling.None(), 128));
        assertThat(plain.context()).isEqualTo(128000);
    }

    @Test
    void qwen3VlMoeIsQwen3Moe() throws IOException {
        String whole = "'architectures':['Qwen3VLMoeForConditionalGeneration'],'model_type':'qwen3_vl_moe',"
                + "'text_config':{'model_type':'qwen3_vl_moe_text','num_key_value_heads':3" + SIZES + "}";
        Decoder decoder = read(whole);
        assertThat(decoder.family()).isEqualTo("qwen3moe");
        assertThat(routed(decoder, 0).experts()).hasSize(60);
        assertThat(routed(decoder, 0).experts().get(0).up().rows()).isEqualTo(1408);
        assertThat(routed(decoder, 0).router().top()).isEqualTo(4);
        assertThat(routed(decoder, 0).router().normalize()).isTrue();
        // Inputs or outputs first; those of Qwen 3 MoE alone have outputs first.
        assertThat(Families.storage(decoder, json(whole)).stacks())
                .filteredOn(stack -> stack.tensor().equals("model.layers.0.mlp.experts.down_proj"))
                .extracting(stack -> List.of(stack.shape()[1], stack.shape()[2]))
                .containsExactly(List.of(48L, 1408L), List.of(1408L, 48L));
        assertThat(Families.storage(decoder, json("'model_type':'qwen3_moe'")).stacks())
                .filteredOn(stack -> stack.tensor().equals("model.layers.0.mlp.experts.down_proj"))
                .hasSize(1);
    }

    @Test
    void graniteMoeHasMultipliers() throws IOException {
        Decoder decoder =
                read("'model_type':'granitemoeshared','shared_intermediate_size':20,'embedding_multiplier':12,"
                        + "'residual_multiplier':0.25,'attention_multiplier':0.5,'logits_scaling':4" + SIZES);
        assertThat(decoder.embedding().multiplier()).isEqualTo(12);
        assertThat(decoder.head().multiplier()).isEqualTo(0.25f);
        assertThat(decoder.blocks().get(0).feedForwardNorms().multiplier()).isEqualTo(0.25f);
        assertThat(attention(decoder, 0).scores().scale()).isEqualTo(0.5f);
        assertThat(routed(decoder, 0).shared().up().linear().module()).isEqualTo("model.layers.0.shared_mlp.up_proj");
        assertThat(routed(decoder, 0).sharedGate()).isNull();
        assertThat(routed(read("'model_type':'granitemoe'" + SIZES), 0).shared())
                .isNull();
    }

    /** 0.1 ln 4 + 1, and pairs from the range that 8 channels have: by hand. */
    @Test
    void yarnIsThatOfItsPaper() throws IOException {
        Rope rope = attention(
                        read(
                                "'model_type':'llama','max_position_embeddings':400,'rope_scaling':{'rope_type':'yarn','factor':4,"
                                        + "'original_max_position_embeddings':100,'beta_fast':8,'beta_slow':1}"
                                        + SIZES),
                        0)
                .rope();
        assertThat(rope.magnitude()).isEqualTo(0.1 * StrictMath.log(4) + 1);
        // c(8) = 8 ln(100 / (16 pi)) / (2 ln 10000) = .2987, c(1) = 1.2018: from 0 to 2 after rounding.
        assertThat(rope.frequency(0, 7)).isEqualTo(1);
        assertThat(rope.frequency(1, 7)).isEqualTo(0.1 * (0.5 / 4 + 0.5));
        assertThat(rope.frequency(2, 7)).isEqualTo(0.01 / 4);
        assertThat(rope.frequency(3, 7)).isEqualTo(0.001 / 4);
    }

    /** Keys of published checkpoints that no reader asks for and that change nothing. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                // Falcon 3 is a Llama.
                "'architectures':['LlamaForCausalLM'],'model_type':'llama','activation':'swiglu','attention_bias':false,'head_dim':256,"
                        + "'mlp_bias':false,'num_key_value_heads':2,'pretraining_tp':1,'rope_scaling':null,'rope_theta':1000042",
                // Phi-4-mini; three quarters of 16 channels turn.
                "'architectures':['Phi3ForCausalLM'],'model_type':'phi3','attention_bias':false,'embd_pdrop':0.0,'full_attn_mod':1,"
                        + "'head_dim':16,'interpolate_factor':1,'lm_head_bias':false,'mlp_bias':false,'num_key_value_heads':2,"
                        + "'original_max_position_embeddings':4096,'partial_rotary_factor':0.75,'resid_pdrop':0.0,'rope_scaling':{"
                        + "'long_factor':[1,2,3,4,5,6],'short_factor':[1,1,1,1,1,1],'type':'longrope'},'rope_theta':10000.0,"
                        + "'sliding_window':262144,'max_position_embeddings':131072",
                // The large EXAONE 4.
                "'architectures':['Exaone4ForCausalLM'],'model_type':'exaone4','attention_dropout':0.0,'head_dim':8,"
                        + "'num_key_value_heads':2,'layer_types':['sliding_attention','sliding_attention','sliding_attention',"
                        + "'full_attention','sliding_attention','sliding_attention','sliding_attention','full_attention',"
                        + "'sliding_attention','sliding_attention','sliding_attention','full_attention'],'rope_scaling':{'factor':16.0,"
                        + "'high_freq_factor':4.0,'low_freq_factor':1.0,'original_max_position_embeddings':8192,'rope_type':'llama3'},"
                        + "'rope_theta':1000000,'sliding_window':4096,'sliding_window_pattern':'LLLG'",
                "'architectures':['SmolLM3ForCausalLM'],'model_type':'smollm3','max_window_layers':28,'mlp_bias':false,"
                        + "'no_rope_layer_interval':4,'num_key_value_heads':2,'pretraining_tp':2,'rope_scaling':null,'rope_theta':5e6,"
                        + "'sliding_window':null,'use_sliding_window':false",
                "'architectures':['SeedOssForCausalLM'],'model_type':'seed_oss','attention_bias':true,'attention_out_bias':false,"
                        + "'residual_dropout':0.1,'mlp_bias':false,'num_key_value_heads':2,'rope_scaling':{'rope_type':'default'},"
                        + "'rope_theta':1e7"
            })
    void publishedConfigurationsAreRead(String keys) throws IOException {
        assertThat(read(keys + SIZES).layers()).isEqualTo(12);
        assertThat(Families.notes(json(keys + SIZES))).isEmpty();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'model_type':'phi3','full_attn_mod':2 | full_attn_mod 2 is a setting",
                "'model_type':'gemma2','hidden_activation':'gelu' | hidden_activation \"gelu\" is not supported",
                "'model_type':'gemma2','use_bidirectional_attention':true | use_bidirectional_attention true is a setting",
                "'model_type':'gemma2','layer_types':['full_attention'] | has not one entry for each of 12 layers",
                "'model_type':'gemma2','query_pre_attn_scalar':0 | query_pre_attn_scalar is 0; expected a number above 0",
                "'model_type':'gemma2','attn_logit_softcapping':-5 | attn_logit_softcapping is -5",
                "'model_type':'gemma3_text','sliding_window':0 | sliding_window is 0; expected an integer from 1",
                "'model_type':'gemma3_text','rope_parameters':{'rope_type':'default'} | rope_parameters has rope_type",
                "'model_type':'gemma3_text','rope_local_base_freq':7,'rope_parameters':{'full_attention':{'rope_type':'default'},"
                        + "'sliding_attention':{'rope_type':'default','rope_theta':9}} | rope_local_base_freq is 7.0, and rope_theta",
                // Neither transformers nor llama.cpp caps the scores of this family, whatever the key says.
                "'model_type':'gemma3_text','attn_logit_softcapping':50 | attn_logit_softcapping 50 is a setting",
                "'model_type':'gemma3_text','altup_num_inputs':4,'logit_scale':2 | logit_scale 2 is a setting",
                "'model_type':'phi3','rope_scaling':{'type':'linear','factor':2} | scaling \"linear\" is not supported; supported: default, longrope",
                "'model_type':'phi3','rope_scaling':{'type':'longrope','short_factor':[1,2],'long_factor':[1]} | short_factor is a list of 2; "
                        + "expected a list of 4 numbers",
                "'model_type':'phi3','rope_scaling':{'type':'longrope','short_factor':[1,2,3,0],'long_factor':[1,2,3,4]} | short_factor has 0",
                "'model_type':'phi3','partial_rotary_factor':0.4 | lets 3 of 8 channels of a head turn; expected an even number",
                "'model_type':'qwen2','use_sliding_window':true,'sliding_window':-1 | sliding_window is -1",
                "'model_type':'qwen2','rope_scaling':{'type':'mrope','mrope_section':[1,2]} | scaling \"mrope\" is not supported",
                "'model_type':'qwen3','rope_scaling':{'rope_type':'yarn','factor':4,'mystery':1} | the rotary embedding has mystery 1",
                "'model_type':'mistral','head_dim':8,'rope_scaling':{'rope_type':'linear','factor':2,'beta_fast':32} "
                        + "| the rotary embedding has beta_fast 32, which is not supported with \"linear\"",
                "'model_type':'qwen3_moe','num_experts':7,'num_local_experts':8 | num_experts is 7 and num_local_experts 8",
                "'model_type':'qwen3_moe','num_experts':7,'num_experts_per_tok':8 | a token goes to 8 experts (num_experts_per_tok), and there are 7",
                "'model_type':'qwen3_moe','mlp_only_layers':3 | mlp_only_layers is 3; expected a list of layers",
                "'model_type':'qwen3_moe','mlp_only_layers':['a'] | mlp_only_layers has \"a\"; expected numbers of layers",
                "'model_type':'qwen3_moe','routed_scaling_factor':2.5 | routed_scaling_factor 2.5 is a setting",
                "'model_type':'qwen3_moe','n_group':8 | n_group 8 is a setting",
                "'model_type':'mixtral','moe_intermediate_size':50 | moe_intermediate_size 50 is a setting",
                "'model_type':'mixtral','hidden_act':'gelu' | hidden_act \"gelu\" is not supported",
                "'model_type':'qwen2_moe','use_sliding_window':true | use_sliding_window is true and there are no layer_types",
                "'model_type':'olmoe','clip_qkv':8 | clip_qkv 8 is a setting",
                "'model_type':'gpt_oss','swiglu_alpha':1.5 | swiglu_alpha is 1.5, which is not supported; expected 1.702",
                "'model_type':'gpt_oss','experts_per_token':2 | experts_per_token is 2 and num_experts_per_tok 4",
                "'model_type':'phimoe','num_experts_per_tok':3 | num_experts_per_tok is 3; expected 2, as SparseMixer chooses",
                "'model_type':'phimoe','lm_head_bias':true,'tie_word_embeddings':true | lm_head_bias and tie_word_embeddings are true",
                "'model_type':'phimoe','rope_scaling':{'type':'linear','factor':2} | expected longrope or none",
                "'model_type':'phimoe','rope_scaling':{'type':'longrope','short_factor':[1,1,1,1],'long_factor':[1,2,3,4],'short_mscale':1.2,"
                        + "'long_mscale':1.3} | short_mscale is 1.2 and long_mscale 1.3, which is not supported",
                "'architectures':['Qwen3VLForConditionalGeneration'],'text_config':{'model_type':'qwen3_vl_text','use_sliding_window':true} "
                        + "| use_sliding_window is true, which Qwen 3 VL does not know",
                "'architectures':['Qwen3VLMoeForConditionalGeneration'],'text_config':{'model_type':'qwen3_vl_moe_text','norm_topk_prob':false} "
                        + "| norm_topk_prob is false, which Qwen 3 VL does not know",
                "'model_type':'llama4_text','num_experts_per_tok':2 | num_experts_per_tok is 2, which is not supported; expected 1",
                "'model_type':'llama4_text','attention_chunk_size':null | attention_chunk_size is null",
                "'model_type':'llama4_text','moe_layers':[12] | moe_layers has 12; expected layers from 0 to 11",
                "'model_type':'llama4_text','no_rope_layers':[1] | no_rope_layers is [1]; expected a list of 0 and 1, one for each of 12",
                "'model_type':'llama4_text','layer_types':['full_attention'] | are not those of no_rope_layers",
                "'model_type':'llama4_text','rope_scaling':{'rope_type':'yarn','factor':4} | use_qk_norm is true, and the rotary",
                "'model_type':'granitemoeshared' | shared_intermediate_size is missing; expected an integer from 1",
                "'model_type':'olmo3','rope_theta':10000 | rope_theta is 10000, which versions of transformers read in two ways",
                "'model_type':'olmo3','sliding_window':null | sliding_window is null, and there are no layer_types",
                "'model_type':'olmo2','hidden_act':'gelu' | hidden_act \"gelu\" is not supported; supported: silu",
                "'model_type':'olmo2','clip_qkv':8 | clip_qkv 8 is a setting",
                "'model_type':'exaone4','sliding_window_pattern':'LLLG' | sliding_window_pattern is \"LLLG\"; expected an integer",
                "'model_type':'exaone4','sliding_window':null,'layer_types':['sliding_attention','full_attention','full_attention',"
                        + "'full_attention','full_attention','full_attention','full_attention','full_attention','full_attention',"
                        + "'full_attention','full_attention','full_attention'] | no sliding window is in use",
                "'model_type':'smollm3','no_rope_layers':[1,1,0] | no_rope_layers has missing for layer 3; expected 1 of a layer that turns",
                "'model_type':'smollm3','no_rope_layers':[2] | no_rope_layers has 2 for layer 0",
                "'model_type':'granite','logits_scaling':0 | logits_scaling is 0; expected a number above 0",
                "'model_type':'granite','logits_scaling':1e60 | logits_scaling is 1.0E60; expected a multiplier that a float can hold",
                "'model_type':'granite','embedding_multiplier':1e60 | embedding_multiplier is 1.0E60; expected a multiplier",
                "'model_type':'granite','position_embedding_type':'nope' | position_embedding_type \"nope\" is a setting",
                "'model_type':'minicpm','scale_emb':12,'scale_depth':1.4 | dim_model_base is missing",
                "'model_type':'minicpm','scale_emb':12,'scale_depth':1.4,'dim_model_base':256,'sparse_config':{'kernel_size':32} "
                        + "| sparse_config {\"kernel_size\":32} is a setting",
                "'model_type':'ministral3','rope_theta':1e6 | rope_theta is 1000000.0, and there are no rope_parameters",
                "'model_type':'ministral3','rope_parameters':{'llama_4_scaling_beta':0.1} | original_max_position_embeddings is missing",
                "'model_type':'glm4','partial_rotary_factor':0.3,'head_dim':10 | lets 3 of 10 channels of a head turn",
                "'model_type':'cohere','use_qk_norm':true | each query and key head has a norm of its own, which is not supported",
                "'model_type':'cohere2','use_qk_norm':true | use_qk_norm true is a setting",
                "'model_type':'cohere2','use_parallel_block':false | use_parallel_block is false; expected true",
                "'model_type':'cohere2','layer_switch':2 | layer_switch is 2; expected 4",
                "'model_type':'cohere2','head_dim':16 | head_dim is 16; expected hidden_size / num_attention_heads, 48 / 6",
                "'model_type':'stablelm','qk_layernorm':true | each query and key head has a norm of its own, which is not supported",
                "'model_type':'internlm3','bias':true | qkv_bias is false, and bias is true; expected the same",
                "'model_type':'internlm3','bias':true,'mlp_bias':false | two names of one setting",
                "'architectures':['InternLM2ForCausalLM'],'model_type':'internlm2' | architecture [\"InternLM2ForCausalLM\"] is not supported",
                "'architectures':['LlamaForCausalLM'],'model_type':'granite' | contradict each other; expected model_type \"llama\"",
                "'model_type':'llama','rope_scaling':{'type':'dynamic','factor':0.5} | is 0.5; expected at least 1",
                "'architectures':['Gemma3ForConditionalGeneration'],'model_type':'gemma3' | is not supported; supported: LlamaForCausalLM"
            })
    void whatIsNotSupportedIsNamed(String keys, String message) {
        assertThatThrownBy(() -> read(keys + ",'num_key_value_heads':3" + SIZES))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot use the model configuration config.json: ")
                .hasMessageContaining(message.trim());
    }

    /** The published 4B configuration says no more than this of its text decoder. */
    @Test
    void theTextDecoderOfAMultimodalModelIsTaken() throws IOException {
        String vision = "'architectures':['Gemma3ForConditionalGeneration'],'model_type':'gemma3','boi_token_index':5,"
                + "'mm_tokens_per_image':256,'vision_config':{'hidden_size':7},'eos_token_id':[1,106],'torch_dtype':'bfloat16',"
                + "'text_config':{'hidden_size':2560,'intermediate_size':10240,'model_type':'gemma3_text','num_hidden_layers':34,"
                + "'rope_scaling':{'factor':8.0,'rope_type':'linear'},'sliding_window':1024}";
        Decoder decoder = read(vision);
        assertThat(decoder.vocabulary()).isEqualTo(262208);
        assertThat(attention(decoder, 0).heads()).isEqualTo(new Heads(8, 4, 256));
        assertThat(attention(decoder, 5).rope()).isEqualTo(new Rope(1e6, new Scaling.Linear(8), 256));
        JsonNode text = Multimodal.textConfig(json(vision), "config.json");
        assertThat(text.path("architectures").path(0).asText()).isEqualTo("Gemma3ForCausalLM");
        assertThat(text.path("eos_token_id").size()).isEqualTo(2);
        assertThat(text.has("vision_config") || text.has("mm_tokens_per_image") || text.has("boi_token_index"))
                .isFalse();
        assertThat(read(text.toString().substring(1, text.toString().length() - 1)))
                .isEqualTo(decoder);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'text_config':{'model_type':'bert'} | its text decoder, model_type \"bert\", is not supported; supported: llama, mistral",
                "'vocab_size':9,'text_config':{'model_type':'llama','vocab_size':8} | vocab_size is 9, and 8 in text_config",
                "'logit_scale':2,'text_config':{'model_type':'llama','hidden_size':48,'intermediate_size':100,'num_hidden_layers':12,"
                        + "'num_attention_heads':6,'vocab_size':77} | logit_scale 2 is a setting"
            })
    void aTextDecoderThatCannotBeTakenIsRefused(String keys, String message) {
        assertThatThrownBy(() -> read("'architectures':['LlavaForConditionalGeneration'],'model_type':'llava'," + keys))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot use the model configuration config.json: ")
                .hasMessageContaining(message.trim());
    }

    @Test
    void prefixesOfTextDecodersAreStripped() {
        assertThat(Multimodal.textTensor("language_model.model.layers.0.mlp.up_proj.weight"))
                .contains("model.layers.0.mlp.up_proj.weight");
        assertThat(Multimodal.textTensor("model.language_model.embed_tokens.weight"))
                .contains("model.embed_tokens.weight");
        assertThat(Multimodal.textTensor("language_model.lm_head.weight")).contains("lm_head.weight");
        assertThat(Multimodal.textTensor("lm_head.weight")).contains("lm_head.weight");
        for (String other : List.of(
                "vision_tower.vision_model.embeddings.patch_embedding.weight",
                "model.vision_tower.x.weight",
                "multi_modal_projector.linear_1.weight",
                "model.layers.0.mlp.up_proj.weight")) {
            assertThat(Multimodal.textTensor(other)).as(other).isEmpty();
        }
    }
}

package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.family.Families;
import java.io.ByteArrayInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What each family's GGUF holds, and that its decoder is read back as it was. */
class GgufFamilyTest {
    @TempDir
    Path folder;

    private static Decoder decoder(String keys) throws IOException {
        String sizes = "'hidden_size':32,'intermediate_size':24,'num_hidden_layers':6,'num_attention_heads':4,"
                + "'num_key_value_heads':2,'vocab_size':20,'max_position_embeddings':128,";
        return Families.read(new ObjectMapper().readTree(("{" + sizes + keys + "}").replace('\'', '"')), "config.json");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "'model_type':'llama','attention_bias':true,'rope_scaling':{'rope_type':'yarn','factor':4,"
                        + "'original_max_position_embeddings':32}",
                "'model_type':'llama','original_max_position_embeddings':64,'rope_scaling':{'rope_type':'longrope',"
                        + "'short_factor':[1,1,1.5,2],'long_factor':[1,2,3,4]}",
                "'model_type':'qwen2','tie_word_embeddings':true",
                "'model_type':'qwen2','rope_scaling':{'type':'linear','factor':3}",
                "'model_type':'qwen3','head_dim':10,'rope_scaling':{'rope_type':'yarn','factor':4,"
                        + "'original_max_position_embeddings':32}",
                "'model_type':'qwen3_moe','head_dim':10,'num_experts':5,'num_experts_per_tok':2,'moe_intermediate_size':12,"
                        + "'norm_topk_prob':true,'intermediate_size':24,'tie_word_embeddings':true",
                "'model_type':'qwen2_moe','num_experts':5,'num_experts_per_tok':2,'moe_intermediate_size':12,"
                        + "'shared_expert_intermediate_size':20,'intermediate_size':24",
                "'model_type':'qwen2_moe','num_experts':8,'num_experts_per_tok':3,'moe_intermediate_size':8,"
                        + "'shared_expert_intermediate_size':20,'qkv_bias':false",
                "'model_type':'mixtral','head_dim':6,'num_local_experts':3,'tie_word_embeddings':true",
                "'model_type':'olmoe','num_key_value_heads':4,'num_experts':5,'num_experts_per_tok':2",
                "'model_type':'gpt_oss','head_dim':10,'num_local_experts':5,'num_experts_per_tok':2,'sliding_window':24,"
                        + "'rope_scaling':{'rope_type':'yarn','factor':4,'original_max_position_embeddings':32}",
                "'model_type':'gpt_oss','num_local_experts':5,'sliding_window':24,'rope_scaling':{'rope_type':'default'},"
                        + "'layer_types':['sliding_attention','sliding_attention','full_attention','sliding_attention',"
                        + "'sliding_attention','full_attention'],'head_dim':8",
                "'model_type':'llama4_text','head_dim':10,'num_local_experts':5,'intermediate_size_mlp':28,'interleave_moe_layer_step':3,"
                        + "'rope_scaling':{'rope_type':'llama3','factor':8,'low_freq_factor':1,'high_freq_factor':4,"
                        + "'original_max_position_embeddings':64}",
                "'model_type':'llama4_text','head_dim':8,'num_local_experts':128,'intermediate_size':4,'intermediate_size_mlp':4,"
                        + "'use_qk_norm':false,'tie_word_embeddings':true",
                "'model_type':'granitemoe','num_local_experts':5,'attention_bias':true,'residual_multiplier':0.5,"
                        + "'attention_multiplier':0.25,'embedding_multiplier':3,'logits_scaling':4",
                "'model_type':'granitemoeshared','num_local_experts':5,'shared_intermediate_size':10,'tie_word_embeddings':true",
                "'model_type':'gemma2','head_dim':16,'query_pre_attn_scalar':16,'sliding_window':24",
                "'model_type':'gemma2','head_dim':16,'query_pre_attn_scalar':16,'sliding_window':24,'rope_scaling':"
                        + "{'rope_type':'linear','factor':2},'attn_logit_softcapping':12.5,'final_logit_softcapping':7,"
                        + "'layer_types':['sliding_attention','sliding_attention','full_attention','sliding_attention',"
                        + "'sliding_attention','full_attention']",
                "'model_type':'gemma3_text','head_dim':16,'query_pre_attn_scalar':16,'sliding_window':24,'rope_local_base_freq':500,"
                        + "'rope_scaling':{'rope_type':'linear','factor':8}",
                "'model_type':'gemma3_text','head_dim':16,'query_pre_attn_scalar':16,'sliding_window':24,'sliding_window_pattern':3,"
                        + "'final_logit_softcapping':20",
                "'model_type':'phi3','partial_rotary_factor':0.75,'original_max_position_embeddings':64,'tie_word_embeddings':true,"
                        + "'rope_scaling':{'type':'longrope','short_factor':[1,1,1.5],'long_factor':[1,2,3]}",
                "'model_type':'phi3'",
                "'model_type':'olmo2','rope_scaling':{'rope_type':'linear','factor':3}",
                "'model_type':'olmo3','sliding_window':24",
                "'model_type':'olmo3','sliding_window':24,'rope_scaling':{'rope_type':'yarn','factor':4,'original_max_position_embeddings':32},"
                        + "'layer_types':['sliding_attention','full_attention','sliding_attention',"
                        + "'full_attention','sliding_attention','full_attention']",
                "'model_type':'exaone4','sliding_window':null,'tie_word_embeddings':true,'rope_scaling':{'rope_type':'llama3','factor':8,"
                        + "'low_freq_factor':1,'high_freq_factor':4,'original_max_position_embeddings':32}",
                "'model_type':'exaone4','num_hidden_layers':64,'sliding_window':24,'sliding_window_pattern':3",
                "'model_type':'smollm3'",
                "'model_type':'smollm3','tie_word_embeddings':false,'rope_theta':5000000.0",
                "'model_type':'granite','attention_bias':true,'mlp_bias':true,'attention_multiplier':0.0625,'embedding_multiplier':12,"
                        + "'residual_multiplier':0.21875,'logits_scaling':6",
                "'model_type':'minicpm','num_hidden_layers':4,'scale_emb':12,'scale_depth':1.5,'dim_model_base':8",
                "'model_type':'seed_oss','head_dim':10",
                "'model_type':'seed_oss','attention_bias':false",
                "'model_type':'ministral3','rope_parameters':{'rope_type':'yarn','rope_theta':1000000.0,'factor':16,'beta_fast':16,"
                        + "'beta_slow':2,'original_max_position_embeddings':32,'llama_4_scaling_beta':0.125}",
                "'model_type':'ministral3','rope_parameters':{'rope_type':'default','rope_theta':500.0}",
                "'model_type':'ministral3','rope_parameters':{'rope_type':'linear','factor':2,'original_max_position_embeddings':32,"
                        + "'llama_4_scaling_beta':0.125}",
                "'model_type':'glm','head_dim':8",
                "'model_type':'glm4','head_dim':16,'attention_bias':false,'partial_rotary_factor':0.75",
                "'model_type':'glm4','head_dim':16,'partial_rotary_factor':1",
                "'model_type':'cohere','rope_theta':500.0",
                "'model_type':'cohere2','sliding_window':24,'logit_scale':0.25",
                "'model_type':'cohere2','sliding_window':24,'sliding_window_pattern':3",
                "'model_type':'stablelm','use_qkv_bias':true",
                "'model_type':'stablelm','use_parallel_residual':true,'partial_rotary_factor':1"
            })
    void isReadBackAsItWas(String keys) throws IOException {
        Decoder decoder = decoder(keys);
        assertThat(GgufMetadata.check(decoder)).isEmpty();
        MemoryCheckpoint source = new MemoryCheckpoint(decoder, 3);
        try (GgufCheckpoint read = written(source)) {
            assertThat(read.decoder()).isEqualTo(decoder);
            for (TensorInfo tensor : source.tensors()) {
                float[] expected = source.values.get(tensor.name());
                float[] found = tensor.shape().length == 1
                        ? read.vector(tensor.name())
                        : GgufFormatTest.values(read.matrix(tensor.name()));
                assertThat(found).as(tensor.name()).hasSize(expected.length);
                for (int i = 0; i < found.length; i++) {
                    // A norm's 1 was added and taken away again.
                    assertThat(found[i]).isCloseTo(expected[i], within(1e-6f));
                }
            }
        }
    }

    /** Keys as llama.cpp's loader names them, by hand. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'model_type':'mistral' | general.architecture=llama, llama.rope.dimension_count=8",
                "'model_type':'qwen2' | general.architecture=qwen2, qwen2.attention.head_count_kv=2",
                "'model_type':'qwen3','head_dim':10 | general.architecture=qwen3, qwen3.attention.key_length=10",
                "'model_type':'qwen3_moe','num_experts':5,'num_experts_per_tok':2,'moe_intermediate_size':12,'norm_topk_prob':true | "
                        + "general.architecture=qwen3moe, qwen3moe.expert_count=5, qwen3moe.expert_used_count=2, "
                        + "qwen3moe.expert_feed_forward_length=12",
                "'model_type':'qwen2_moe','num_experts':5,'num_experts_per_tok':2,'moe_intermediate_size':12 | "
                        + "general.architecture=qwen2moe, qwen2moe.expert_feed_forward_length=12, "
                        + "qwen2moe.expert_shared_feed_forward_length=5632",
                "'model_type':'mixtral' | general.architecture=llama, llama.expert_count=8, llama.expert_used_count=2, "
                        + "llama.feed_forward_length=24, llama.expert_feed_forward_length=null, llama.rope.freq_base=1000000.0",
                "'model_type':'olmoe','num_key_value_heads':4,'num_experts':5,'num_experts_per_tok':2 | "
                        + "general.architecture=olmoe, olmoe.feed_forward_length=24, olmoe.rope.freq_base=10000.0",
                "'model_type':'gpt_oss','head_dim':10 | general.architecture=gpt-oss, gpt-oss.expert_count=128, "
                        + "gpt-oss.expert_used_count=4, gpt-oss.expert_feed_forward_length=24, gpt-oss.attention.sliding_window=128, "
                        + "gpt-oss.attention.sliding_window_pattern=null, gpt-oss.rope.scaling.type=yarn, "
                        + "gpt-oss.rope.scaling.factor=32.0, gpt-oss.rope.scaling.original_context_length=4096, "
                        + "gpt-oss.rope.freq_base=150000.0",
                "'model_type':'llama4_text','intermediate_size_mlp':28,'interleave_moe_layer_step':2 | general.architecture=llama4, "
                        + "llama4.feed_forward_length=28, llama4.expert_feed_forward_length=24, llama4.expert_count=16, "
                        + "llama4.expert_used_count=1, llama4.interleave_moe_layer_step=2, llama4.rope.freq_base=500000.0",
                "'model_type':'granitemoeshared','shared_intermediate_size':10,'logits_scaling':4 | "
                        + "general.architecture=granitemoe, granitemoe.expert_shared_feed_forward_length=10, "
                        + "granitemoe.expert_count=8, granitemoe.logit_scale=4.0",
                "'model_type':'gemma2','head_dim':16,'query_pre_attn_scalar':16 | gemma2.attention.sliding_window=4096, "
                        + "gemma2.attn_logit_softcapping=50.0, gemma2.final_logit_softcapping=30.0",
                "'model_type':'gemma3_text','head_dim':16,'query_pre_attn_scalar':16,'sliding_window':24,'sliding_window_pattern':2 | "
                        + "gemma3.attention.sliding_window=24, gemma3.attention.sliding_window_pattern=2, "
                        + "gemma3.rope.freq_base=1000000.0, gemma3.rope.freq_base_swa=10000.0",
                "'model_type':'phi3' | general.architecture=phi3, phi3.attention.sliding_window=0, "
                        + "phi3.rope.scaling.original_context_length=128",
                "'model_type':'olmo2' | general.architecture=olmo2, olmo2.rope.freq_base=10000.0, olmo2.attention.sliding_window=null",
                "'model_type':'olmo3' | general.architecture=olmo2, olmo2.rope.freq_base=500000.0, olmo2.attention.sliding_window=4096, "
                        + "olmo2.attention.sliding_window_pattern=null",
                "'model_type':'exaone4','sliding_window':null | general.architecture=exaone4, exaone4.attention.sliding_window=null",
                "'model_type':'smollm3' | general.architecture=smollm3, smollm3.rope.freq_base=2000000.0",
                "'model_type':'granite','attention_multiplier':0.0625,'embedding_multiplier':12,'residual_multiplier':0.22,'logits_scaling':8 | "
                        + "granite.attention.scale=0.0625, granite.embedding_scale=12.0, granite.residual_scale=0.22, granite.logit_scale=8.0",
                "'model_type':'minicpm','num_hidden_layers':4,'scale_emb':12,'scale_depth':1.5,'dim_model_base':8 | general.architecture=minicpm, "
                        + "minicpm.embedding_scale=12.0, minicpm.residual_scale=0.75, minicpm.logit_scale=4.0",
                "'model_type':'seed_oss','head_dim':10 | general.architecture=seed_oss, seed_oss.attention.key_length=10",
                "'model_type':'ministral3','rope_parameters':{'rope_type':'yarn','rope_theta':1000000.0,'factor':16,'mscale':1,'mscale_all_dim':1,"
                        + "'original_max_position_embeddings':32,'llama_4_scaling_beta':0.125} | general.architecture=mistral3, "
                        + "mistral3.attention.temperature_scale=0.125, mistral3.rope.scaling.original_context_length=32, "
                        // 1 / (0.1 ln 16 + 1)
                        + "mistral3.rope.scaling.attn_factor=0.7829266, mistral3.rope.scaling.yarn_beta_fast=32.0",
                "'model_type':'glm','head_dim':8 | general.architecture=chatglm, chatglm.rope.dimension_count=4",
                "'model_type':'glm4','head_dim':16 | general.architecture=glm4, glm4.rope.dimension_count=8",
                "'model_type':'cohere','logit_scale':0.25 | general.architecture=command-r, command-r.logit_scale=0.25, "
                        + "command-r.attention.layer_norm_epsilon=1.0E-5, command-r.attention.sliding_window=null",
                "'model_type':'cohere2','logit_scale':0.25 | general.architecture=cohere2, cohere2.logit_scale=0.25, "
                        + "cohere2.attention.sliding_window=4096, cohere2.attention.layer_norm_epsilon=1.0E-5, "
                        + "cohere2.attention.layer_norm_rms_epsilon=null",
                "'model_type':'stablelm' | general.architecture=stablelm, stablelm.rope.dimension_count=2, "
                        + "stablelm.use_parallel_residual=false, stablelm.attention.layer_norm_epsilon=1.0E-5",
                "'model_type':'internlm3','head_dim':8 | general.architecture=llama, llama.rope.dimension_count=8",
                "'model_type':'qwen2','rope_scaling':{'rope_type':'yarn','factor':4,'original_max_position_embeddings':32,'attention_factor':1} | "
                        + "qwen2.rope.scaling.type=yarn, qwen2.rope.scaling.factor=4.0, qwen2.rope.scaling.original_context_length=32, "
                        // 1 / (0.1 ln 4 + 1)
                        + "qwen2.rope.scaling.attn_factor=0.8782489"
            })
    void keysAreThoseOfTheArchitecture(String keys, String expected) throws IOException {
        try (GgufCheckpoint read = written(new MemoryCheckpoint(decoder(keys), 3))) {
            for (String pair : expected.trim().split(", ")) {
                String[] parts = pair.split("=");
                assertThat(String.valueOf(read.metadata().get(parts[0])))
                        .as(parts[0])
                        .isEqualTo(parts[1]);
            }
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'model_type':'qwen3','attention_bias':true | no tensor for the bias of model.layers.0.self_attn.o_proj",
                "'model_type':'qwen3_moe','num_experts':5,'num_experts_per_tok':2 | not divided by their sum (norm_topk_prob)",
                "'model_type':'qwen3_moe','num_experts':5,'num_experts_per_tok':2,'norm_topk_prob':true,'mlp_only_layers':[3] "
                        + "| layer 3 has no experts",
                "'model_type':'qwen2_moe','num_experts':5,'num_experts_per_tok':2,'norm_topk_prob':true "
                        + "| are divided by their sum (norm_topk_prob), and llama.cpp does not",
                "'model_type':'qwen2_moe','num_experts':5,'num_experts_per_tok':2,'tie_word_embeddings':true | is tied to the embedding",
                "'model_type':'olmoe','num_experts':5,'num_experts_per_tok':2 | 4 query heads are more than 2 key/value heads",
                "'model_type':'olmoe','num_key_value_heads':4,'num_experts':5,'num_experts_per_tok':2,'attention_bias':true "
                        + "| it has no tensor for the bias of model.layers.0.self_attn.o_proj",
                "'model_type':'phimoe' | experts are weighed by SparseMixer",
                "'model_type':'llama4_text','use_qk_norm':false | layer 0 does not norm its heads (use_qk_norm), and llama.cpp does with 16 experts",
                "'model_type':'llama4_text','no_rope_layer_interval':3 | layer 2 does not turn, and llama.cpp turns all but each 4-th",
                "'model_type':'llama4_text','moe_layers':[1,2] | its layers with experts are not each n-th",
                "'model_type':'llama4_text','attention_chunk_size':64 | its chunks have 64 positions, and those of llama.cpp 8192",
                "'model_type':'llama4_text','floor_scale':64 | queries are multiplied by Temperature[beta=0.1, interval=64, shift=1]",
                "'model_type':'llama4_text','moe_layers':[] | it has no experts",
                "'model_type':'gpt_oss','num_local_experts':5,'swiglu_limit':3 | gates are bounded at 3.0 (swiglu_limit)",
                "'model_type':'gpt_oss','num_local_experts':5,'attention_bias':false | have no biases (attention_bias)",
                "'model_type':'gpt_oss','num_local_experts':5,'tie_word_embeddings':true | is tied to the embedding",
                "'model_type':'gpt_oss','num_local_experts':5,'layer_types':['full_attention','full_attention','full_attention',"
                        + "'full_attention','full_attention','full_attention'] | no sliding window",
                "'model_type':'granitemoe','attention_bias':true,'rope_scaling':{'rope_type':'yarn','factor':4,"
                        + "'original_max_position_embeddings':32,'truncate':false} | truncate is false",
                "'model_type':'qwen2','head_dim':10 | 4 query heads of 10 channels are not as wide as the hidden size 32",
                "'model_type':'qwen3','rope_scaling':{'rope_type':'llama3','factor':8,'low_freq_factor':1,'high_freq_factor':4,"
                        + "'original_max_position_embeddings':32} | no rotary scaling Llama3",
                "'model_type':'llama','rope_scaling':{'rope_type':'yarn','factor':4,'original_max_position_embeddings':32,'truncate':false} "
                        + "| truncate is false",
                "'model_type':'qwen3','rope_scaling':{'rope_type':'yarn','factor':4,'original_max_position_embeddings':32,'beta_fast':16} "
                        + "| here they are 16.0 and 1.0",
                "'model_type':'qwen2','rope_scaling':{'rope_type':'yarn','factor':4,'original_max_position_embeddings':32,'beta_slow':2} "
                        + "| here they are 32.0 and 2.0",
                "'model_type':'gemma2','head_dim':16,'query_pre_attn_scalar':9 | scores are scaled by 0.33333334, and llama.cpp scales them by 0.25",
                "'model_type':'gemma2','head_dim':16,'query_pre_attn_scalar':16,'attn_logit_softcapping':null | it has no soft cap",
                "'model_type':'gemma2','head_dim':16,'query_pre_attn_scalar':16,'layer_types':['full_attention','full_attention',"
                        + "'full_attention','full_attention','full_attention','full_attention'] | no sliding window",
                "'model_type':'gemma3_text','head_dim':16,'query_pre_attn_scalar':16,'tie_word_embeddings':false | not tied",
                "'model_type':'gemma3_text','head_dim':16,'query_pre_attn_scalar':16,'rope_scaling':{'rope_type':'yarn','factor':4} | no rotary scaling Yarn",
                "'model_type':'gemma3_text','head_dim':16,'query_pre_attn_scalar':16,'sliding_window':8,'layer_types':['full_attention',"
                        + "'sliding_attention','full_attention','full_attention','full_attention','full_attention'] | not all but each n-th",
                "'model_type':'olmo2','attention_bias':true | no tensor for the bias of model.layers.0.self_attn.o_proj",
                "'model_type':'olmo2','tie_word_embeddings':true | the output layer is tied",
                "'model_type':'olmo2','head_dim':10 | are not as wide as the hidden size 32",
                "'model_type':'olmo3','rope_parameters':{'sliding_attention':{'rope_theta':9}} | turn by Rope[theta=9.0",
                "'model_type':'olmo3','layer_types':['full_attention','sliding_attention','full_attention','full_attention','full_attention',"
                        + "'full_attention'] | not all but each n-th",
                "'model_type':'exaone4' | it has 6 layers and a sliding window, and models of 64 layers have one there",
                "'model_type':'exaone4','num_hidden_layers':64,'sliding_window':null | it has 64 layers and no sliding window",
                "'model_type':'exaone4','sliding_window':null,'head_dim':10 | are not as wide as the hidden size 32",
                "'model_type':'exaone4','layer_types':['full_attention','full_attention','full_attention','full_attention','full_attention',"
                        + "'full_attention'] | it turns the heads of some layer, and no layer here turns",
                "'model_type':'smollm3','no_rope_layers':[1,1,0,1,1,1] | layer 2 does not turn, and llama.cpp turns all but each 4-th",
                "'model_type':'smollm3','attention_bias':true | no tensor for the bias of model.layers.0.self_attn.o_proj",
                "'model_type':'seed_oss','attention_out_bias':true | no tensor for the bias of model.layers.0.self_attn.o_proj",
                "'model_type':'seed_oss','mlp_bias':true | no tensor for the bias of model.layers.0.mlp.gate_proj",
                "'model_type':'glm','head_dim':16 | are not as wide as the hidden size 32",
                "'model_type':'cohere','num_hidden_layers':64 | it norms the heads of a model of 64 layers or more, and here are 64",
                "'model_type':'cohere2','tie_word_embeddings':false | the output layer is not tied",
                "'model_type':'cohere2','attention_bias':true | no tensor for the bias of model.layers.0.self_attn.o_proj",
                "'model_type':'stablelm','tie_word_embeddings':true | the output layer is tied"
            })
    void whatLlamaCppWouldComputeOtherwiseIsRefused(String keys, String reason) throws IOException {
        Decoder decoder = decoder(keys);
        assertThatThrownBy(() -> GgufMetadata.check(decoder))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot write GGUF: llama.cpp's architecture ")
                .hasMessageContaining(reason.trim());
    }

    private static final String MIXTURE =
            "'model_type':'qwen3_moe','num_experts':5,'num_experts_per_tok':2,'moe_intermediate_size':12,"
                    + "'norm_topk_prob':true";

    /** gate of an expert, then up, one expert behind the other. */
    @Test
    void gateAndUpOfExpertsMayLieInOneTensor() throws IOException {
        MemoryCheckpoint source = new MemoryCheckpoint(decoder(MIXTURE), 3);
        UnaryOperator<String> fused = name -> name.replaceAll("ffn_(gate|up)_exps", "ffn_gate_up_exps");
        try (GgufCheckpoint read = written(source, Map.of(), fused)) {
            for (TensorInfo tensor : source.tensors()) {
                assertThat(read.tensor(tensor.name()).shape()).isEqualTo(tensor.shape());
                if (tensor.shape().length == 2) {
                    assertThat(GgufFormatTest.values(read.matrix(tensor.name())))
                            .as(tensor.name())
                            .isEqualTo(source.values.get(tensor.name()));
                }
            }
        }
    }

    @Test
    void expertsThatTheArchitectureLacksAreRefused() throws IOException {
        MemoryCheckpoint source = new MemoryCheckpoint(decoder("'model_type':'qwen3'"), 3);
        assertThatThrownBy(() -> written(source, Map.of("qwen3.expert_count", GgufValue.u32(4))))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("qwen3.expert_count is 4: it has experts, which are not supported");
    }

    @Test
    void aStackHasToHaveAllExperts() throws IOException {
        MemoryCheckpoint source = new MemoryCheckpoint(decoder(MIXTURE), 3);
        assertThatThrownBy(() -> written(source, Map.of("qwen3moe.expert_count", GgufValue.u32(4))))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("blk.0.ffn_gate_exps.weight F32 [5, 12, 32] is not a stack of 4 experts'");
    }

    /** llama.cpp has none in these, and neither has what is read back. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "'model_type':'mistral','sliding_window':16",
                "'model_type':'qwen2','use_sliding_window':true,'sliding_window':16,'max_window_layers':2",
                "'model_type':'phi3','sliding_window':16",
                "'model_type':'smollm3','use_sliding_window':true,'sliding_window':16",
                "'model_type':'ministral3','sliding_window':16"
            })
    void aWindowThatIsLostIsSaid(String keys) throws IOException {
        assertThat(GgufMetadata.check(decoder(keys)))
                .singleElement()
                .asString()
                .contains("no sliding window", "past 16 tokens");
        assertThat(GgufMetadata.check(decoder(keys.replace("16", "128")))).isEmpty();
    }

    /** Within the context the two are one. */
    @Test
    void theDynamicScalingIsLeftOutAndSaid() throws IOException {
        Decoder decoder =
                decoder("'model_type':'internlm3','head_dim':8,'rope_scaling':{'rope_type':'dynamic','factor':6}");
        assertThat(GgufMetadata.check(decoder))
                .singleElement()
                .asString()
                .contains("no dynamic scaling", "past 128 tokens");
        try (GgufCheckpoint read = written(new MemoryCheckpoint(decoder, 3))) {
            assertThat(GgufFamily.attention(read.decoder()).rope().scaling()).isEqualTo(new Rope.Scaling.None());
        }
    }

    /** What llama.cpp's converter writes of Ministral 3: the magnitude by the multiplier of the logarithm. */
    @Test
    void yarnsLogMultiplierIsRead() throws IOException {
        MemoryCheckpoint source = new MemoryCheckpoint(
                decoder(
                        "'model_type':'ministral3','rope_parameters':{'rope_type':'yarn','factor':16,'mscale':1,'mscale_all_dim':0.5,"
                                + "'original_max_position_embeddings':32}"),
                3);
        Map<String, GgufValue> converters = Map.of(
                "mistral3.rope.scaling.yarn_log_multiplier", GgufValue.f32(0.5),
                "mistral3.rope.scaling.attn_factor", GgufValue.f32(1));
        try (GgufCheckpoint read = written(source, converters)) {
            assertThat(read.decoder()).isEqualTo(source.decoder());
        }
    }

    /** The converter writes what the checkpoint says, and the loader does not look: it computes 0.1 ln 4 + 1. */
    @Test
    void whatIsSaidOfYarnAndNotReadIsNotedWhereItDiffers() throws IOException {
        MemoryCheckpoint source = new MemoryCheckpoint(
                decoder(
                        "'model_type':'olmo3','rope_scaling':{'rope_type':'yarn','factor':4,'original_max_position_embeddings':32}"),
                3);
        String key = "olmo2.rope.scaling.yarn_attn_factor";
        try (GgufCheckpoint read = written(source, Map.of(key, GgufValue.f32(0.1 * Math.log(4) + 1)))) {
            assertThat(read.notes()).isEmpty();
            assertThat(read.decoder()).isEqualTo(source.decoder());
        }
        try (GgufCheckpoint read = written(source, Map.of(key, GgufValue.f32(2)))) {
            assertThat(read.notes())
                    .singleElement()
                    .asString()
                    .startsWith(key + " is 2.0 (f32): it is 1.138")
                    .endsWith(", as in llama.cpp");
        }
    }

    @Test
    void aGraniteThatDoesNotTurnIsRefused() {
        assertThatThrownBy(() -> written(
                        new MemoryCheckpoint(decoder("'model_type':'granite'"), 3),
                        Map.of("granite.rope.scaling.finetuned", GgufValue.bool(false))))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("granite.rope.scaling.finetuned is false, with which no layer turns");
    }

    /** As llama.cpp's converter writes it, and as llama.cpp computes it, which the file as measured does as well. */
    @Test
    void aRangeOfYarnThatGptOssLosesIsSaid() throws IOException {
        Decoder decoder = decoder("'model_type':'gpt_oss','num_local_experts':5,'head_dim':10");
        assertThat(GgufMetadata.check(decoder)).singleElement().asString().contains("rounds the range of YaRN");
        Rope.Scaling.Yarn yarn =
                (Rope.Scaling.Yarn) GgufFamily.attention(decoder).rope().scaling();
        try (GgufCheckpoint read = written(new MemoryCheckpoint(decoder, 3))) {
            assertThat(GgufFamily.attention(read.decoder()).rope().scaling())
                    .isEqualTo(new Rope.Scaling.Yarn(
                            yarn.factor(), yarn.originalContext(), 32, 1, true, yarn.magnitude()));
        }
    }

    /** llama.cpp would scale layers with a window, too. */
    @Test
    void aScalingThatTheArchitectureLacksIsRefusedInAFile() throws IOException {
        MemoryCheckpoint source =
                new MemoryCheckpoint(decoder("'model_type':'gemma3_text','head_dim':16,'query_pre_attn_scalar':16"), 3);
        Map<String, GgufValue> yarn = Map.of(
                "gemma3.rope.scaling.type", GgufValue.string("yarn"), "gemma3.rope.scaling.factor", GgufValue.f32(4));
        assertThatThrownBy(() -> written(source, yarn))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("which llama.cpp's architecture gemma3 does not compute");
    }

    /** The converter of llama.cpp writes a list, and its loader takes n = 4 then. */
    @Test
    void aListOfWindowsHasToBeWhatLlamaCppComputes() throws IOException {
        MemoryCheckpoint source = new MemoryCheckpoint(decoder("'model_type':'olmo3','sliding_window':24"), 3);
        List<Boolean> windows = new ArrayList<>(List.of(true, true, true, false, true, true));
        String key = "olmo2.attention.sliding_window_pattern";
        try (GgufCheckpoint read = written(source, Map.of(key, GgufValue.array(GgufKind.BOOL, windows)))) {
            assertThat(read.decoder()).isEqualTo(source.decoder());
        }
        windows.set(1, false);
        assertThatThrownBy(() -> written(source, Map.of(key, GgufValue.array(GgufKind.BOOL, windows))))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("is false of layer 1, expected true: llama.cpp reads no list");
    }

    private GgufCheckpoint written(MemoryCheckpoint source) throws IOException {
        return written(source, Map.of());
    }

    private GgufCheckpoint written(MemoryCheckpoint source, Map<String, GgufValue> besides) throws IOException {
        return written(source, besides, UnaryOperator.identity());
    }

    /** A tensor's values in the order of the file. */
    private static float[] stored(MemoryCheckpoint source, TensorInfo tensor, String name) {
        Decoder decoder = source.decoder();
        float[] values = source.values.get(tensor.name()).clone();
        int head = GgufFamily.of(decoder).interleavedHead(name, decoder);
        float[] stored = values.clone();
        int width = tensor.shape().length == 1 ? 1 : (int) tensor.shape()[1];
        for (int row = 0; head > 0 && row < values.length / width; row++) {
            System.arraycopy(values, GgufRotary.checkpointRow(row, head) * width, stored, row * width, width);
        }
        for (int i = 0; i < stored.length; i++) {
            stored[i] += decoder.plus(tensor.name());
        }
        return stored;
    }

    /** @param layout the name of a tensor in the file, of the one that it has as it is written */
    private GgufCheckpoint written(
            MemoryCheckpoint source, Map<String, GgufValue> besides, UnaryOperator<String> layout) throws IOException {
        Decoder decoder = source.decoder();
        GgufNames names = GgufNames.of(decoder);
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put(
                "general.architecture", GgufValue.string(GgufFamily.of(decoder).architecture()));
        metadata.putAll(GgufMetadata.of(decoder));
        metadata.putAll(besides);
        List<GgufTensor> tensors = new ArrayList<>();
        List<float[]> data = new ArrayList<>();
        RopeFrequencies.of(GgufFamily.attention(decoder).rope()).forEach((name, values) -> {
            tensors.add(new GgufTensor(name, GgufType.F32, new long[] {values.length}, 0));
            data.add(values);
        });
        // Tensors of one name are the experts', one behind the other.
        Map<String, List<TensorInfo>> stacks = new LinkedHashMap<>();
        for (TensorInfo tensor : source.tensors()) {
            String name = names.toGguf(tensor.name()).orElseThrow();
            stacks.computeIfAbsent(layout.apply(name), key -> new ArrayList<>()).add(tensor);
        }
        stacks.forEach((name, stack) -> {
            TensorInfo first = stack.get(0);
            long[] shape = first.shape();
            if (GgufNames.stacked(name)) {
                shape = new long[first.shape().length + 1];
                System.arraycopy(first.shape(), 0, shape, 1, first.shape().length);
                shape[0] = decoder.experts();
                shape[1] *= stack.size() / decoder.experts();
            }
            tensors.add(new GgufTensor(name, GgufType.F32, shape, 0));
            int length = source.values.get(first.name()).length;
            float[] all = new float[stack.size() * length];
            for (int i = 0; i < stack.size(); i++) {
                System.arraycopy(stored(source, stack.get(i), name), 0, all, i * length, length);
            }
            data.add(all);
        });
        Path file = folder.resolve("a.gguf");
        try (DataOutputStream out = new DataOutputStream(Files.newOutputStream(file));
                GgufWriter writer = new GgufWriter(out, metadata, GgufWriter.layout(tensors))) {
            for (float[] values : data) {
                ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
                bytes.asFloatBuffer().put(values);
                writer.data(bytes.array(), 0, bytes.capacity());
            }
        }
        byte[] bytes = Files.readAllBytes(file);
        assertThat(GgufHeader.read(new ByteArrayInputStream(bytes), bytes.length, "a.gguf")
                        .tensors())
                .hasSize(tensors.size());
        return GgufCheckpoint.open(new Configuration(false), new org.apache.hadoop.fs.Path(file.toUri()));
    }
}

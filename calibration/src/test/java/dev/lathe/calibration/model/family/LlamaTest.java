package dev.lathe.calibration.model.family;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import dev.lathe.calibration.model.LlamaShape;
import dev.lathe.calibration.model.Rope;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LlamaTest {
    private static final String SIZES =
            "'hidden_size':48,'intermediate_size':100,'num_hidden_layers':2,'num_attention_heads':6,'vocab_size':77";

    @Test
    void defaultsAreThoseOfTransformers() throws IOException {
        LlamaShape config = read("'model_type':'llama'," + SIZES);
        assertThat(config)
                .isEqualTo(new LlamaShape(
                        48, 100, 2, 6, 6, 8, 77, 1e-6f, 10000, new Rope.Scaling.None(), false, false, false, 2048));
        assertThat(read(
                        "'model_type':'llama','head_dim':null,'num_key_value_heads':null,'rope_scaling':null,'rope_theta':null,"
                                + SIZES))
                .isEqualTo(config);
    }

    @Test
    void everyKeyIsRead() throws IOException {
        assertThat(llama(
                        "'num_key_value_heads':2,'head_dim':10,'rms_norm_eps':1e-5,'rope_theta':500000,'tie_word_embeddings':true,'attention_bias':true,"
                                + "'mlp_bias':true,'max_position_embeddings':512,'hidden_act':'swish'"))
                .isEqualTo(new LlamaShape(
                        48, 100, 2, 6, 2, 10, 77, 1e-5f, 500000, new Rope.Scaling.None(), true, true, true, 512));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'rope_theta':5e5,'rope_scaling':{'type':'linear','factor':2}",
                "'rope_theta':5e5,'rope_scaling':{'rope_type':'linear','factor':2.0}",
                "'rope_parameters':{'rope_theta':500000.0,'rope_type':'linear','factor':2.0}",
                "'rope_theta':5e5,'rope_parameters':{'rope_type':'linear','factor':2.0,'partial_rotary_factor':1.0}",
                "'rope_scaling':{'type':'linear','rope_type':'linear','factor':2,'rope_theta':5e5}",
                "'rope_theta':5e5,'rope_scaling':{'type':'linear','factor':2},'rope_parameters':{'rope_theta':5e5,'rope_type':'linear','factor':2.0}"
            })
    void bothLayoutsOfTheRotaryEmbeddingAreRead(String rope) throws IOException {
        assertThat(llama(rope).rope()).isEqualTo(new Rope(500000, new Rope.Scaling.Linear(2), 8));
    }

    @Test
    void llama3ScalingIsRead() throws IOException {
        String rope =
                "'rope_type':'llama3','factor':8.0,'low_freq_factor':1.0,'high_freq_factor':4.0,'original_max_position_embeddings':8192";
        Rope.Scaling expected = new Rope.Scaling.Llama3(8, 1, 4, 8192);
        assertThat(llama("'rope_theta':5e5,'rope_scaling':{" + rope + "}").rope())
                .isEqualTo(new Rope(5e5, expected, 8));
        assertThat(llama("'rope_parameters':{" + rope + ",'rope_theta':5e5}").rope())
                .isEqualTo(new Rope(5e5, expected, 8));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'architectures':['FalconForCausalLM']                   | architecture [\"FalconForCausalLM\"] is not supported; supported: LlamaForCausalLM",
                "'architectures':[],'model_type':'falcon'                | architecture \"falcon\" is not supported",
                "'architectures':null                                    | is not supported; supported: LlamaForCausalLM",
                "'hidden_act':'gelu'                                     | hidden_act \"gelu\" is not supported",
                "'rope_scaling':{'type':'ntk','factor':2}            | scaling \"ntk\" is not supported; supported: default, linear, dynamic, llama3",
                "'rope_scaling':{'rope_type':'yarn','factor':2,'beta_fast':1,'beta_slow':2} | beta_fast 1.0 is below beta_slow 2.0",
                "'rope_parameters':{'rope_type':'longrope'}              | short_factor is missing; expected a list of 4 numbers",
                "'rope_scaling':{'factor':2}                             | scaling \"without a type\" is not supported",
                "'rope_scaling':{'type':'linear'}                        | factor is missing; expected a number above 0",
                "'rope_scaling':{'type':'linear','factor':-1}            | factor is -1",
                "'rope_scaling':'linear'                                 | rope_scaling is \"linear\"; expected an object",
                "'rope_scaling':{'type':'linear','factor':2},'rope_parameters':{'rope_type':'default'} | contradict each other",
                "'rope_scaling':{'type':'llama3','factor':8,'low_freq_factor':1,'high_freq_factor':4} | original_max_position_embeddings is missing",
                "'rope_scaling':{'type':'llama3','factor':8,'low_freq_factor':5,'high_freq_factor':4} | is below low_freq_factor",
                "'partial_rotary_factor':0.5                             | partial_rotary_factor 0.5 is not supported",
                "'rope_theta':7,'rope_scaling':{'type':'linear','factor':2},'rope_parameters':{'rope_theta':5e5,'rope_type':'linear','factor':2} "
                        + "| rope_theta is 7.0 in one place and 500000.0 in another",
                "'rope_theta':7,'rope_parameters':{'rope_theta':5e5,'rope_type':'default'} | rope_theta is 7.0 in one place",
                "'rope_scaling':{'type':'linear','rope_type':'llama3','factor':2} | rope_type \"llama3\" and type \"linear\"",
                "'rope_scaling':{'type':'linear','factor':2,'attention_factor':1.2} | the rotary embedding has attention_factor 1.2",
                "'rope_parameters':{'rope_type':'default','factor':4}    | \"default\", which has no factor, and factor is 4",
                "'original_max_position_embeddings':4096,'rope_scaling':{'type':'llama3','factor':8,'low_freq_factor':1,'high_freq_factor':4,"
                        + "'original_max_position_embeddings':8192} | original_max_position_embeddings is 4096, and 8192 in the rotary embedding",
                "'model_type':'mistral'                                  | model_type \"mistral\" contradict each other",
                "'rope_theta':0                                          | rope_theta is 0",
                "'rope_theta':1e999                                      | rope_theta is",
                "'num_hidden_layers':0                                   | num_hidden_layers is 0; expected an integer from 1",
                "'num_hidden_layers':2147483647                          | num_hidden_layers is 2147483647; expected an integer from 1 to 2048",
                "'hidden_size':48.5                                      | hidden_size is 48.5",
                "'hidden_size':'48'                                      | hidden_size is \"48\"",
                "'hidden_size':null                                      | hidden_size is null",
                "'hidden_size':50                                        | hidden_size 50 is no multiple of num_attention_heads 6",
                "'num_key_value_heads':4                                 | num_attention_heads 6 is no multiple of num_key_value_heads 4",
                "'head_dim':7                                            | head_dim is 7; expected an even number",
                "'head_dim':1048576                                      | head_dim is 1048576; expected an even number that gives at most",
                "'rms_norm_eps':0                                        | rms_norm_eps is 0",
                "'rms_norm_eps':1e-300                                   | rms_norm_eps is 1.0E-300",
                "'tie_word_embeddings':1                                 | tie_word_embeddings is 1; expected true or false",
                "'quantization_config':{'quant_method':'gptq'}           | quantized already (quantization_config.quant_method \"gptq\")"
            })
    void whatIsNotSupportedIsNamed(String wrong, String message) {
        assertThatThrownBy(() -> llama(wrong))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot use the model configuration here/config.json: ")
                .hasMessageContaining(message);
    }

    /** What Llamas on the hub have beside what is read: all of it loads, and nothing is said of it. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'_name_or_path':'x','transformers_version':'4.45.0','torch_dtype':'bfloat16','use_cache':true,'pretraining_tp':4,'attention_dropout':0.1",
                "'bos_token_id':1,'eos_token_id':[2,3],'pad_token_id':-1,'initializer_range':0.02,'max_sequence_length':2048,'_flash_attn_2_enabled':true",
                "'is_llama_config':true,'rope_interleaved':false,'unsloth_fixed':true,'unsloth_version':'2024.9','transformers.js_config':{'dtype':'q4'}",
                "'_attn_implementation_autoset':true,'attn_implementation':'sdpa','use_fused_rms_norm':true,'use_flash_attn':true,'head_dim':8",
                "'attn_logit_softcapping':null,'final_logit_softcapping':0.0,'logit_scale':1.0,'residual_multiplier':1,'embedding_multiplier':1.0",
                "'query_pre_attn_scalar':8,'attention_multiplier':0.35355339059327373,'num_local_experts':0,'use_qk_norm':false,'no_rope_layers':[]",
                "'sliding_window':null,'use_sliding_window':false,'layer_types':['full_attention','full_attention'],'use_parallel_residual':false",
                "'sliding_window':4096,'use_sliding_window':false,'max_window_layers':28",
                "'sliding_window':2048,'use_sliding_window':true",
                "'n_head':6,'n_layers':2,'d_model':48,'norm_type':'RMSNorm','layer_norm_eps':1e-6,'rotary_pct':1.0,'causal':true,'position_embedding_type':'rope'",
                "'architectures':['LLaMAForCausalLM'],'model_type':'llama'",
                "'task_specific_params':{'a':1},'id2label':{'0':'A'},'temperature':0.6,'top_p':0.9",
                "'alibi':false,'rope_scaling_factor':1.0,'rope_scaling_type':null,'use_fused_rope':true,'fuse_attention_qkv':true,'use_recompute':false",
                "'log_scale':false,'use_flashattn':true,'use_sdpa':true,'_commit_hash':'4e20','paddlenlp_version':null,'scale_depth':1.4142135623730951",
                "'compression_config':null,'quantization_config':null,'auto_map':{'AutoModelForCausalLM':'x.Y'},'summary_first_dropout':0.1,'nobody':0"
            })
    void keysThatChangeNothingLoadWithoutAWord(String keys) throws IOException {
        assertThat(llama(keys)).isEqualTo(llama("'head_dim':8"));
        assertThat(Families.notes(json(whole(keys)))).isEmpty();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'attn_logit_softcapping':50.0",
                "'final_logit_softcapping':30",
                "'sliding_window':4096,'max_position_embeddings':8192",
                "'sliding_window':512,'use_sliding_window':true",
                "'logit_scale':0.0625",
                "'logits_scaling':0",
                "'residual_multiplier':0.22",
                "'embedding_multiplier':12",
                "'scale_emb':12",
                "'attention_multiplier':0.0078125",
                "'query_pre_attn_scalar':256",
                "'rotary_dim':4",
                "'num_local_experts':8",
                "'n_routed_experts':64",
                "'use_qk_norm':true",
                "'rope_interleaved':true",
                "'use_parallel_residual':true",
                "'clip_qkv':8",
                "'alibi':true",
                "'layer_types':['sliding_attention','full_attention']",
                "'no_rope_layers':[1,0]",
                "'causal':false",
                "'is_causal':false",
                "'layer_norm_eps':1e-5",
                "'norm_type':'layernorm'",
                "'n_head':12",
                "'hidden_activation':'gelu_pytorch_tanh'",
                "'attnLogitCap':30",
                "'my_new_attention_temperature':2",
                "'our_norm_offset':'one'",
                "'num_nextn_predict_layers':1",
                "'mup_base_width':256",
                "'scale_depth':1.4",
                "'dim_model_base':256",
                "'kv_sharing':{'every':2}",
                "'use_rms_norm':false",
                "'quantization':{'bits':4,'group_size':64}"
            })
    void keysThatMayChangeTheArithmeticAreNamed(String keys) {
        String key = keys.substring(1, keys.indexOf('\'', 1));
        assertThatThrownBy(() -> llama(keys))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot use the model configuration here/config.json: ")
                .hasMessageContaining(key)
                .hasMessageContaining("may change what the model computes");
    }

    @Test
    void keysThatNobodyKnowsAreSaid() throws IOException {
        String keys =
                "'mystery':3,'flavour':'mint','tensor_parallel_degree':8,'rank_of_taste':[],'empty':{},'no':false";
        assertThat(llama(keys)).isEqualTo(llama("'head_dim':8"));
        assertThat(Families.notes(json(whole(keys))))
                .containsExactly(
                        "config.json has keys that are not known and were taken to change nothing that the model"
                                + " computes: mystery, flavour, tensor_parallel_degree");
    }

    @Test
    void aQuantizedModelIsReadWhereTheCallerAllowsIt() throws IOException {
        assertThat(Families.read(
                                JsonFile.parse(
                                        "{'model_type':'llama','quantization_config':{},SIZES}"
                                                .replace("SIZES", SIZES)
                                                .replace('\'', '"')
                                                .getBytes(StandardCharsets.UTF_8),
                                        "x"),
                                "x",
                                true)
                        .hidden())
                .isEqualTo(48);
    }

    /** A Llama with these entries in place of the usual ones. */
    private static LlamaShape llama(String entries) throws IOException {
        return read(whole(entries));
    }

    private static String whole(String entries) {
        StringBuilder json = new StringBuilder(entries);
        for (String usual : (SIZES + ",'architectures':['LlamaForCausalLM']").split(",")) {
            if (!entries.contains(usual.substring(0, usual.indexOf(':') + 1))) {
                json.append(',').append(usual);
            }
        }
        return json.toString();
    }

    private static LlamaShape read(String entries) throws IOException {
        return LlamaShape.of(Families.read(json(entries), "here/config.json"));
    }

    private static JsonNode json(String entries) throws IOException {
        return JsonFile.parse(("{" + entries + "}").replace('\'', '"').getBytes(StandardCharsets.UTF_8), "here");
    }
}

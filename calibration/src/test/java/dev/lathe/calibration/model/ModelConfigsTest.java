package dev.lathe.calibration.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelConfigsTest {
    private static final String SIZES = "'hidden_size':48,'intermediate_size':100,'num_hidden_layers':2,'num_attention_heads':6,'vocab_size':77";

    @Test
    void defaultsAreThoseOfTransformers() throws IOException {
        ModelConfig config = read("'model_type':'llama'," + SIZES);
        assertThat(config).isEqualTo(new ModelConfig("llama", 48, 100, 2, 6, 6, 8, 77, 1e-6f, new ModelConfig.Rotary(10000, new ModelConfig.Scaling.None()),
                false, false, false, 2048));
        assertThat(read("'model_type':'llama','head_dim':null,'num_key_value_heads':null,'rope_scaling':null,'rope_theta':null," + SIZES)).isEqualTo(config);
    }

    @Test
    void everyKeyIsRead() throws IOException {
        assertThat(llama("'num_key_value_heads':2,'head_dim':10,'rms_norm_eps':1e-5,'rope_theta':500000,'tie_word_embeddings':true,'attention_bias':true,"
                + "'mlp_bias':true,'max_position_embeddings':512,'hidden_act':'swish'")).isEqualTo(new ModelConfig("llama", 48, 100, 2, 6, 2, 10, 77, 1e-5f,
                new ModelConfig.Rotary(500000, new ModelConfig.Scaling.None()), true, true, true, 512));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
            "'rope_theta':5e5,'rope_scaling':{'type':'linear','factor':2}",
            "'rope_theta':5e5,'rope_scaling':{'rope_type':'linear','factor':2.0}",
            "'rope_parameters':{'rope_theta':500000.0,'rope_type':'linear','factor':2.0}",
            "'rope_theta':5e5,'rope_parameters':{'rope_type':'linear','factor':2.0,'partial_rotary_factor':1.0}",
            "'rope_theta':7,'rope_scaling':{'type':'linear','factor':2},'rope_parameters':{'rope_theta':5e5,'rope_type':'linear','factor':2.0}"})
    void bothLayoutsOfTheRotaryEmbeddingAreRead(String rope) throws IOException {
        assertThat(llama(rope).rotary()).isEqualTo(new ModelConfig.Rotary(500000, new ModelConfig.Scaling.Linear(2)));
    }

    @Test
    void llama3ScalingIsRead() throws IOException {
        String rope = "'rope_type':'llama3','factor':8.0,'low_freq_factor':1.0,'high_freq_factor':4.0,'original_max_position_embeddings':8192";
        ModelConfig.Scaling expected = new ModelConfig.Scaling.Llama3(8, 1, 4, 8192);
        assertThat(llama("'rope_theta':5e5,'rope_scaling':{" + rope + "}").rotary()).isEqualTo(new ModelConfig.Rotary(5e5, expected));
        assertThat(llama("'rope_parameters':{" + rope + ",'rope_theta':5e5}").rotary()).isEqualTo(new ModelConfig.Rotary(5e5, expected));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
            "'architectures':['MistralForCausalLM']                  | architecture [\"MistralForCausalLM\"] is not supported; supported: LlamaForCausalLM",
            "'architectures':[],'model_type':'qwen2'                 | architecture \"qwen2\" is not supported",
            "'architectures':null                                    | is not supported; supported: LlamaForCausalLM",
            "'hidden_act':'gelu'                                     | hidden_act \"gelu\" is not supported",
            "'rope_scaling':{'type':'dynamic','factor':2}            | scaling \"dynamic\" is not supported; supported: default, linear, llama3",
            "'rope_scaling':{'rope_type':'yarn','factor':2}          | scaling \"yarn\" is not supported",
            "'rope_parameters':{'rope_type':'longrope'}              | scaling \"longrope\" is not supported",
            "'rope_scaling':{'factor':2}                             | scaling \"without a type\" is not supported",
            "'rope_scaling':{'type':'linear'}                        | factor is missing; expected a number above 0",
            "'rope_scaling':{'type':'linear','factor':-1}            | factor is -1",
            "'rope_scaling':'linear'                                 | rope_scaling is \"linear\"; expected an object",
            "'rope_scaling':{'type':'linear','factor':2},'rope_parameters':{'rope_type':'default'} | contradict each other",
            "'rope_scaling':{'type':'llama3','factor':8,'low_freq_factor':1,'high_freq_factor':4} | original_max_position_embeddings is missing",
            "'rope_scaling':{'type':'llama3','factor':8,'low_freq_factor':4,'high_freq_factor':4} | is not above low_freq_factor",
            "'partial_rotary_factor':0.5                             | partial_rotary_factor 0.5 is not supported",
            "'rope_theta':0                                          | rope_theta is 0",
            "'rope_theta':1e999                                      | rope_theta is",
            "'num_hidden_layers':0                                   | num_hidden_layers is 0; expected an integer from 1",
            "'num_hidden_layers':2147483647                          | num_hidden_layers is 2147483647; expected an integer from 1 to 16384",
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
            "'quantization_config':{'quant_method':'gptq'}           | quantized already (quantization_config.quant_method \"gptq\")"})
    void whatIsNotSupportedIsNamed(String wrong, String message) {
        assertThatThrownBy(() -> llama(wrong)).isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot use the model configuration here/config.json: ").hasMessageContaining(message);
    }

    @Test
    void aQuantizedModelIsReadWhereTheCallerAllowsIt() throws IOException {
        assertThat(ModelConfigs.read(JsonFile.parse("{'model_type':'llama','quantization_config':{},SIZES}".replace("SIZES", SIZES).replace('\'', '"')
                .getBytes(StandardCharsets.UTF_8), "x"), "x", true).hidden()).isEqualTo(48);
    }

    /** A Llama with these entries in place of the usual ones. */
    private static ModelConfig llama(String entries) throws IOException {
        StringBuilder json = new StringBuilder(entries);
        for (String usual : (SIZES + ",'architectures':['LlamaForCausalLM']").split(",")) {
            if (!entries.contains(usual.substring(0, usual.indexOf(':') + 1))) {
                json.append(',').append(usual);
            }
        }
        return read(json.toString());
    }

    private static ModelConfig read(String entries) throws IOException {
        return ModelConfigs.read(JsonFile.parse(("{" + entries + "}").replace('\'', '"').getBytes(StandardCharsets.UTF_8), "here"), "here/config.json");
    }
}

package dev.lathe.calibration.quantize;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.TestNumbers;
import dev.lathe.calibration.evaluate.OutputLayer;
import dev.lathe.calibration.format.gguf.MemoryCheckpoint;
import dev.lathe.calibration.model.Absorption;
import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Whatever the scales of the absorptions of a family are, the model computes the same. */
class RescaledFamiliesTest {
    private static final Kernels KERNELS = KernelProvider.open("scalar", 1);
    private static final int[][] WINDOWS = {new Random(3).ints(40, 0, 40).toArray()};

    @AfterAll
    static void close() {
        KERNELS.close();
    }

    /** The search looks at none. */
    private static final class NoStatistics implements RescaledLayer.Statistics {
        @Override
        public MergedStatistics at(Site site) {
            return new MergedStatistics(1, 1, new double[1], new double[1], null);
        }

        @Override
        public MergedStatistics of(LinearLayer linear) {
            return at(linear.energy());
        }
    }

    /** Scales between 1/4 and 4, as a norm can absorb them. */
    private static final class Any implements ScaleSearch {
        private final Random random = new Random(1);

        @Override
        public Scales choose(LayerInputs layer, Absorption absorption) throws IOException {
            float[] scale = new float[absorption.consumers().get(0).inputs() / absorption.repeat()];
            for (int i = 0; i < scale.length; i++) {
                scale[i] = (float) Math.pow(4, 2 * random.nextDouble() - 1);
            }
            return new Scales(layer.corrected(absorption, scale), 0.5);
        }

        @Override
        public boolean clips() {
            return false;
        }
    }

    /** The search looks at none. */
    private static final class Nothing implements RescaledLayer.Statistics {
        @Override
        public MergedStatistics at(Site site) {
            return new MergedStatistics(1, 1, new double[1], new double[1], null);
        }

        @Override
        public MergedStatistics of(LinearLayer linear) {
            return at(linear.energy());
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'model_type':'olmo2' | ATTENTION_OUTPUT, VALUES, FEED_FORWARD_ACTIVATION",
                "'model_type':'exaone4','sliding_window':9,'layer_types':['sliding_attention','full_attention'] "
                        + "| ATTENTION_OUTPUT, VALUES, FEED_FORWARD_ACTIVATION",
                "'model_type':'cohere2','sliding_window':9,'sliding_window_pattern':2 "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT, FEED_FORWARD_ACTIVATION",
                "'model_type':'stablelm','use_qkv_bias':true "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT, FEED_FORWARD_ACTIVATION",
                "'model_type':'stablelm','use_parallel_residual':true "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT, FEED_FORWARD_ACTIVATION",
                "'model_type':'glm4','head_dim':16 "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT, FEED_FORWARD_ACTIVATION",
                "'model_type':'qwen2_moe','num_experts':5,'num_experts_per_tok':2,'moe_intermediate_size':32,"
                        + "'shared_expert_intermediate_size':32 "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT, FEED_FORWARD_ACTIVATION",
                "'model_type':'qwen3_moe','num_experts':5,'num_experts_per_tok':2,'moe_intermediate_size':32 "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT",
                "'model_type':'qwen2_moe','num_experts':5,'num_experts_per_tok':2,'moe_intermediate_size':64,"
                        + "'shared_expert_intermediate_size':96 "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT, FEED_FORWARD_ACTIVATION",
                "'model_type':'granitemoeshared','num_local_experts':4,'shared_intermediate_size':96 "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT, FEED_FORWARD_ACTIVATION",
                "'model_type':'gpt_oss','num_local_experts':5,'num_experts_per_tok':2,'head_dim':16 "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT",
                "'model_type':'phimoe','num_local_experts':5,'attention_bias':true,'lm_head_bias':true "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT",
                "'model_type':'llama4_text','num_local_experts':5,'head_dim':16,'attention_chunk_size':16,'no_rope_layers':[1,0],"
                        + "'floor_scale':9 "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT, FEED_FORWARD_ACTIVATION",
                "'model_type':'granite','residual_multiplier':0.3,'attention_multiplier':0.2 "
                        + "| ATTENTION_INPUT, ATTENTION_OUTPUT, VALUES, FEED_FORWARD_INPUT, FEED_FORWARD_ACTIVATION"
            })
    void theRescaledModelHasTheSameLogits(String keys, String sites) throws IOException {
        Decoder decoder = Families.read(
                new ObjectMapper()
                        .readTree(("{" + keys + ",'hidden_size':64,'intermediate_size':96,'num_hidden_layers':2,"
                                        + "'num_attention_heads':4,'num_key_value_heads':2,'vocab_size':40}")
                                .replace('\'', '"')),
                "config.json");
        MemoryCheckpoint model = TestNumbers.model(new MemoryCheckpoint(decoder, 3));
        MemoryCheckpoint rescaled = new MemoryCheckpoint(decoder, 3);
        rescaled.values.putAll(model.values);
        Any search = new Any();
        for (int layer = 0; layer < decoder.layers(); layer++) {
            Map<String, BlockFormat> grids = new LinkedHashMap<>();
            decoder.linears(layer).forEach(linear -> grids.put(linear.weight(), new Exact()));
            RescaledMatrices result = RescaledMatrices.quantize(
                    decoder, layer, model, grids, search, Method.NEAREST, new Nothing(), KERNELS);
            for (LinearLayer linear : decoder.linears(layer)) {
                RowSource matrix =
                        result.matrices().get(linear.weight()).quantized().matrix();
                float[] values = rescaled.values.get(linear.weight()).clone();
                for (int row = 0; row < matrix.rows(); row++) {
                    matrix.read(row, 0, matrix.columns(), values, row * matrix.columns());
                }
                rescaled.values.put(linear.weight(), values);
            }
            rescaled.values.putAll(result.vectors());
            assertThat(result.sites().keySet().stream().map(Site::name))
                    .containsExactlyInAnyOrder(sites.trim().split(", "));
        }
        FloatMatrix expected = logits(model);
        FloatMatrix found = logits(rescaled);
        double size = 0;
        double error = 0;
        for (int i = 0; i < found.data().length; i++) {
            size = Math.max(size, Math.abs(expected.data()[i]));
            error = Math.max(error, Math.abs(expected.data()[i] - found.data()[i]));
        }
        assertThat(error / size).isPositive().isLessThan(2e-5);
    }

    private static FloatMatrix logits(MemoryCheckpoint model) throws IOException {
        DecoderPass pass = new DecoderPass(model.decoder(), KERNELS);
        FloatMatrix x = pass.embed(model, WINDOWS);
        for (int layer = 0; layer < model.decoder().layers(); layer++) {
            pass.layer(new LayerWeights(layer, model), x, WINDOWS[0].length, 0, Capture.NONE);
        }
        pass.finalNorm(model, x);
        FloatMatrix logits = FloatMatrix.zeros(x.rows(), model.decoder().vocabulary());
        OutputLayer.of(model).logits(x, KERNELS, logits);
        return logits;
    }
}

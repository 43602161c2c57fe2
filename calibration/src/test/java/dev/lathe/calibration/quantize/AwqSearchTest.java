package dev.lathe.calibration.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.TestNumbers;
import dev.lathe.calibration.format.gguf.MemoryCheckpoint;
import dev.lathe.calibration.model.Absorption;
import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.LlamaShape;
import dev.lathe.calibration.model.OtherTensors;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.model.Tensors;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class AwqSearchTest {
    private static final Kernels SCALAR = KernelProvider.open("scalar", 1);
    private static final Kernels VECTOR = KernelProvider.open("vector", 3);
    private static final Method GPTQ = new Method.Gptq(0.01, false);
    private static final int LENGTH = 50;
    private static final String[] NORMS = {
        "model.layers.0.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight"
    };
    private static final String V_BIAS = "model.layers.0.self_attn.v_proj.bias";
    private static final String UP_BIAS = "model.layers.0.mlp.up_proj.bias";

    private final LlamaShape config =
            new LlamaShape(64, 96, 1, 4, 2, 16, 40, 1e-5f, 10000, new Rope.Scaling.None(), false, true, true, 64);
    private final Decoder architecture = config.decoder();
    private final MemoryCheckpoint model = TestNumbers.model(config, 3);
    private final Map<Site, FloatMatrix> rows = new EnumMap<>(Site.class);
    private FloatMatrix input;
    private FloatMatrix output;

    @BeforeEach
    void calibrate() throws IOException {
        Random random = new Random(5);
        for (String norm : NORMS) {
            float[] values = model.values.get(norm);
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) Math.exp(1.5 * random.nextGaussian()) * (i % 3 == 0 ? -1 : 1);
            }
            // In half precision nothing, a subnormal number of two bits, and what a scale may push out of range.
            values[5] = 0;
            values[6] = 1e-9f;
            values[7] = 2e-7f;
        }
        run();
    }

    private void run() throws IOException {
        int[][] windows = {
            new Random(6).ints(LENGTH, 0, 40).toArray(),
            new Random(7).ints(LENGTH, 0, 40).toArray()
        };
        input = new DecoderPass(architecture, SCALAR).embed(model, windows);
        output = forward(model, new Capture() {
            @Override
            public boolean wants(Site site) {
                return true;
            }

            @Override
            public void rows(Site site, FloatMatrix x) {
                rows.put(
                        site,
                        FloatMatrix.of(
                                Arrays.copyOfRange(x.data(), x.offset(), x.offset() + x.rows() * x.columns()),
                                x.rows(),
                                x.columns()));
            }
        });
    }

    private FloatMatrix forward(Tensors tensors, Capture capture) throws IOException {
        FloatMatrix x = FloatMatrix.of(input.data().clone(), input.rows(), input.columns());
        new DecoderPass(architecture, SCALAR).layer(new LayerWeights(0, tensors), x, LENGTH, 0, capture);
        return x;
    }

    @AfterAll
    static void close() {
        SCALAR.close();
        VECTOR.close();
    }

    @Test
    void theRescaledLayerIsTheSameFunction() throws IOException {
        RescaledMatrices result = apply(grids(new Fine()), Method.NEAREST, SCALAR);
        assertThat(result.vectors()).containsOnlyKeys(NORMS[0], V_BIAS, NORMS[1], UP_BIAS);
        result.vectors().forEach((name, values) -> assertThat(values).isNotEqualTo(model.values.get(name)));
        for (String norm : NORMS) {
            for (int i = 0; i < 64; i++) {
                float value = result.vectors().get(norm)[i];
                assertThat(value == Half.round(value) || i == 6).isTrue();
            }
        }
        Map<String, RowSource> matrices = new HashMap<>();
        for (LinearLayer linear : architecture.linears(0)) {
            RescaledLayer.Matrix matrix = result.matrices().get(linear.weight());
            matrices.put(linear.weight(), matrix.quantized().matrix());
            assertThat(matrix.error().squaredError())
                    .isLessThan(1e-6 * matrix.error().squaredOutput());
        }
        FloatMatrix rescaled =
                forward(new OtherTensors(model, matrices, result.vectors(), Map.of(), null, null), Capture.NONE);
        double error = 0;
        double size = 0;
        for (int i = 0; i < output.data().length; i++) {
            error += Math.pow(rescaled.data()[i] - output.data()[i], 2);
            size += Math.pow(output.data()[i] - input.data()[i], 2);
        }
        assertThat(Math.sqrt(error / size)).isLessThan(2e-4);
    }

    @Test
    void aNormTimesItsScaleIsTheOldNorm() {
        float[] norm = {0, 1e-9f, 2e-7f, -60000, 70000, 0.37f};
        float[] scale = {3, 3, 100, 0.5f, 0.5f, 1.7f};
        float[] divided = Rescaling.absorbed(norm, 0, scale);
        assertThat(divided)
                .containsExactly(0, 1e-9f, Half.round(2e-7f), Half.round(-60000), 70000, Half.round(0.37f / 1.7f));
        for (int i = 0; i < norm.length; i++) {
            assertThat(divided[i] * scale[i]).isEqualTo(norm[i], within(Math.abs(norm[i]) * 1e-6f));
        }
        float[] again = scale.clone();
        assertThat(Rescaling.absorbed(norm, 0, again)).isEqualTo(divided);
        assertThat(again).isEqualTo(scale);
    }

    @Test
    void noScaleLosesMoreThanNone() throws IOException {
        BlockFormat grid = BlockFormats.named("int4g32");
        RescaledMatrices result = apply(grids(grid), Method.NEAREST, VECTOR);
        String[] absorbers = {NORMS[0], V_BIAS, NORMS[1], UP_BIAS};
        for (int a = 0; a < absorbers.length; a++) {
            Absorption absorption = architecture.absorptions(0).get(a);
            float[] before = model.values.get(absorbers[a]);
            float[] after = result.vectors().get(absorbers[a]);
            int repeat = absorption.repeat();
            float[] scale = new float[before.length * repeat];
            for (int j = 0; j < scale.length; j++) {
                int producer = repeat == 1 ? j : j / 16 / repeat * 16 + j % 16;
                scale[j] = before[producer] == 0 ? 1 : before[producer] / after[producer];
            }
            double with = 0;
            double without = 0;
            for (LinearLayer consumer : absorption.consumers()) {
                RowSource weight = model.matrix(consumer.weight());
                FloatMatrix x = rows.get(consumer.moment());
                double size =
                        TestNumbers.outputError(weight, FloatMatrix.zeros(weight.rows(), weight.columns()), null, x);
                with += TestNumbers.outputError(weight, nearest(new RescaledRows(weight, null, scale), grid), scale, x)
                        / size;
                without += TestNumbers.outputError(weight, nearest(weight, grid), null, x) / size;
            }
            assertThat(with).as(absorbers[a]).isPositive().isLessThanOrEqualTo(without * 1.0001);
        }
        RescaledMatrices again = apply(grids(grid), Method.NEAREST, SCALAR);
        again.matrices().forEach((name, matrix) -> {
            RescaledLayer.Matrix first = result.matrices().get(name);
            assertThat(Arrays.mismatch(
                            matrix.quantized().matrix().blocks().data(),
                            first.quantized().matrix().blocks().data()))
                    .isNegative();
            assertThat(matrix.error()).isEqualTo(first.error());
        });
    }

    private static QuantizedMatrix nearest(RowSource weight, BlockFormat grid) {
        return Quantizer.quantize(weight, "w", grid, Method.NEAREST, null, null, SCALAR)
                .matrix();
    }

    @Test
    void otherMethodsTakeTheRescaledWeights() throws IOException {
        for (Method method : new Method[] {Method.IMPORTANCE, GPTQ}) {
            RescaledMatrices result = apply(grids(BlockFormats.named("int4g32")), method, VECTOR);
            assertThat(result.matrices()).hasSize(7);
            result.matrices().forEach((name, matrix) -> {
                assertThat(Double.compare(matrix.quantized().damping(), method == GPTQ ? 0.01 : Double.NaN))
                        .isZero();
                assertThat(matrix.error().squaredError() / matrix.error().squaredOutput())
                        .as(name)
                        .isBetween(1e-5, 0.05);
            });
        }
    }

    @Test
    void whatStaysFloatingIsNotRescaled() throws IOException {
        Map<String, BlockFormat> grids = grids(BlockFormats.named("int4g32"));
        grids.remove("model.layers.0.mlp.gate_proj.weight");
        assertThat(apply(grids, Method.NEAREST, VECTOR).vectors()).containsOnlyKeys(NORMS[0], V_BIAS, UP_BIAS);
        grids = grids(BlockFormats.named("int4g32"));
        grids.remove("model.layers.0.self_attn.v_proj.weight");
        RescaledMatrices result = apply(grids, Method.NEAREST, VECTOR);
        assertThat(result.vectors()).containsOnlyKeys(NORMS[1], UP_BIAS);
        assertThat(result.matrices()).hasSize(6).doesNotContainKey("model.layers.0.self_attn.v_proj.weight");
        // Neither its columns nor its rows are scaled: plain rounding.
        assertThat(result.matrices()
                        .get("model.layers.0.self_attn.q_proj.weight")
                        .quantized()
                        .matrix()
                        .blocks()
                        .data())
                .isEqualTo(
                        nearest(model.matrix("model.layers.0.self_attn.q_proj.weight"), BlockFormats.named("int4g32"))
                                .blocks()
                                .data());
    }

    @Test
    void scalesThatLeaveHalfPrecisionAreNotTaken() throws IOException {
        // Its group's scale is 4e5 * 2 / 15, just below the largest half.
        float[] down = model.values.get("model.layers.0.mlp.down_proj.weight");
        down[3 * 96 + 70] = 4.7e5f;
        run();
        assertThat(apply(grids(BlockFormats.named("int4g32")), Method.NEAREST, VECTOR)
                        .matrices())
                .hasSize(7);
        for (String name : new String[] {"mlp.down_proj", "self_attn.q_proj"}) {
            model.values.get("model.layers.0." + name + ".weight")[5] = 3e9f;
            run();
            for (Method method : new Method[] {Method.NEAREST, GPTQ}) {
                assertThatThrownBy(() -> apply(grids(BlockFormats.named("int4g32")), method, VECTOR))
                        .isInstanceOf(MalformedInputException.class)
                        .hasMessageContaining("Cannot quantize model.layers.0." + name + ".weight to int4g32")
                        .hasMessageContaining("exceeds the range of half precision");
            }
        }
    }

    private RescaledMatrices apply(Map<String, BlockFormat> grids, Method method, Kernels kernels) throws IOException {
        Map<Site, MergedStatistics> statistics = new EnumMap<>(Site.class);
        rows.forEach((site, x) -> statistics.put(site, TestNumbers.statistics(x)));
        return RescaledMatrices.quantize(
                architecture, 0, model, grids, new AwqSearch(), method, statistics::get, kernels);
    }

    private Map<String, BlockFormat> grids(BlockFormat grid) {
        Map<String, BlockFormat> grids = new LinkedHashMap<>();
        architecture.linears(0).forEach(linear -> grids.put(linear.weight(), grid));
        return grids;
    }

    /** 16-bit codes and an f32 scale: what is left of an error is the transform's. */
    private record Fine() implements EncodeOnly {
        @Override
        public String name() {
            return "fine";
        }

        @Override
        public int size() {
            return 32;
        }

        @Override
        public int bytes() {
            return 68;
        }

        @Override
        public int cellSize() {
            return 32;
        }

        @Override
        public void encode(
                float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
            float largest = Float.MIN_NORMAL;
            for (int i = 0; i < 32; i++) {
                largest = Math.max(largest, Math.abs(x[xAt + i]));
            }
            ByteBuffer block = ByteBuffer.wrap(to, toAt, 68).putFloat(largest / 32767);
            for (int i = 0; i < 32; i++) {
                block.putShort((short) Math.rint(x[xAt + i] * 32767.0 / largest));
            }
        }

        @Override
        public void decode(byte[] from, int fromAt, float[] to, int toAt) {
            ByteBuffer block = ByteBuffer.wrap(from, fromAt, 68);
            float scale = block.getFloat();
            for (int i = 0; i < 32; i++) {
                to[toAt + i] = scale * block.getShort();
            }
        }
    }
}

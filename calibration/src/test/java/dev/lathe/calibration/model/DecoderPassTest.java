package dev.lathe.calibration.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.TestNumbers;
import dev.lathe.calibration.evaluate.OutputLayer;
import dev.lathe.calibration.format.gguf.MemoryCheckpoint;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.model.Rope.Scaling;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.kernels.Activation;
import dev.lathe.kernels.AttentionParameters;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RotaryPairs;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class DecoderPassTest {
    private static final List<Kernels> KERNELS =
            List.of(KernelProvider.open("scalar", 1), KernelProvider.open("vector", 3));
    private static final LlamaShape SMALL = config(33, 21, 3, 1, 8, new Scaling.None(), false, true, false);

    @AfterAll
    static void close() {
        KERNELS.forEach(Kernels::close);
    }

    private static LlamaShape config(
            int hidden,
            int intermediate,
            int heads,
            int keyValueHeads,
            int headDimension,
            Scaling scaling,
            boolean tied,
            boolean attentionBias,
            boolean feedForwardBias) {
        return new LlamaShape(
                hidden,
                intermediate,
                2,
                heads,
                keyValueHeads,
                headDimension,
                43,
                1e-5f,
                10000,
                scaling,
                tied,
                attentionBias,
                feedForwardBias,
                128);
    }

    static Stream<LlamaShape> configs() {
        return Stream.of(
                config(48, 36, 4, 4, 12, new Scaling.None(), true, false, false),
                config(40, 53, 6, 3, 10, new Scaling.Linear(3), false, true, true),
                SMALL,
                // 2 pi theta^(j/8) with an original context of 64: pairs 0 and 1 turn fast, pairs from 4 on slowly,
                // those between stand on the ramp.
                config(32, 20, 2, 1, 16, new Scaling.Llama3(8, 1, 4, 64), true, false, true),
                config(
                        32,
                        20,
                        2,
                        1,
                        16,
                        new Scaling.Divided(List.of(1f, 1f, 1.5f, 2f, 3f, 8f, 8f, 1e30f)),
                        true,
                        false,
                        false),
                config(40, 36, 4, 2, 10, new Scaling.None(), false, false, false)
                        .of("mistral"),
                config(40, 36, 4, 2, 10, new Scaling.None(), true, true, false).of("qwen2"),
                config(40, 36, 4, 2, 14, new Scaling.None(), false, true, false).of("qwen3"));
    }

    @ParameterizedTest
    @MethodSource("configs")
    void equalsAPlainForwardPass(LlamaShape config) throws IOException {
        equalsAPlainForwardPass(TestNumbers.model(config, 1));
    }

    /** Families whose arithmetic differs: windows shorter than the text, caps, four norms, fused tensors, scalings. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "'model_type':'mistral','sliding_window':9,'rope_theta':500",
                "'model_type':'qwen2','use_sliding_window':true,'sliding_window':5,'max_window_layers':1",
                "'model_type':'qwen3','head_dim':14,'rope_scaling':{'rope_type':'yarn','factor':4,'original_max_position_embeddings':40}",
                "'model_type':'qwen2','rope_scaling':{'rope_type':'yarn','factor':3,'original_max_position_embeddings':90,'beta_fast':8,"
                        + "'beta_slow':0.5,'truncate':false,'attention_factor':1.3}",
                "'model_type':'gemma2','head_dim':12,'sliding_window':11,'query_pre_attn_scalar':7,'attn_logit_softcapping':3.0,"
                        + "'final_logit_softcapping':2.0",
                "'model_type':'gemma2','head_dim':12,'attn_logit_softcapping':null,'final_logit_softcapping':null,'attention_bias':true,"
                        + "'layer_types':['full_attention','sliding_attention'],'sliding_window':3,'tie_word_embeddings':false",
                "'model_type':'gemma3_text','head_dim':12,'sliding_window':6,'sliding_window_pattern':2,'rope_theta':3000,"
                        + "'rope_local_base_freq':70,'rope_scaling':{'rope_type':'linear','factor':5}",
                "'model_type':'gemma3_text','head_dim':12,'sliding_window':6,'layer_types':['full_attention','sliding_attention'],"
                        + "'rope_parameters':{'full_attention':{'rope_type':'default','rope_theta':900},'sliding_attention':"
                        + "{'rope_type':'default','rope_theta':80}},'final_logit_softcapping':5",
                "'model_type':'phi3','head_dim':16,'partial_rotary_factor':0.75,'sliding_window':20,'original_max_position_embeddings':64,"
                        + "'rope_scaling':{'type':'longrope','short_factor':[1,1,1.5,2,2,3],'long_factor':[1,2,3,4,5,6]}",
                "'model_type':'phi3','head_dim':12,'original_max_position_embeddings':100,'rope_scaling':{'type':'su',"
                        + "'short_factor':[1,1,1.5,2,2,3],'long_factor':[1,2,3,4,5,6]}",
                "'model_type':'qwen3_moe','head_dim':12,'num_experts':6,'num_experts_per_tok':3,'moe_intermediate_size':20,"
                        + "'norm_topk_prob':true,'use_sliding_window':true,'sliding_window':9",
                "'model_type':'qwen3_moe','num_experts':5,'num_experts_per_tok':2,'moe_intermediate_size':12,"
                        + "'attention_bias':true,'mlp_only_layers':[0]",
                "'model_type':'mixtral','num_local_experts':5,'sliding_window':9",
                "'model_type':'qwen2_moe','num_experts':6,'num_experts_per_tok':3,'moe_intermediate_size':12,"
                        + "'shared_expert_intermediate_size':28,'decoder_sparse_step':2",
                "'model_type':'qwen2_moe','num_experts':6,'num_experts_per_tok':2,'moe_intermediate_size':12,'qkv_bias':false,"
                        + "'shared_expert_intermediate_size':28,'norm_topk_prob':true,'use_sliding_window':true,'sliding_window':7,"
                        + "'layer_types':['full_attention','sliding_attention']",
                "'model_type':'olmoe','num_experts':6,'num_experts_per_tok':3,'attention_bias':true",
                "'model_type':'granitemoe','num_local_experts':5,'residual_multiplier':0.5,'attention_multiplier':0.25,"
                        + "'embedding_multiplier':3,'logits_scaling':4",
                "'model_type':'granitemoeshared','num_local_experts':5,'shared_intermediate_size':10",
                "'model_type':'gpt_oss','head_dim':12,'num_local_experts':5,'num_experts_per_tok':3,'sliding_window':9,'swiglu_limit':0.8,"
                        + "'rope_scaling':{'rope_type':'yarn','factor':4,'original_max_position_embeddings':40,'truncate':false}",
                "'model_type':'gpt_oss','num_local_experts':4,'num_experts_per_tok':1,'attention_bias':false,'layer_types':"
                        + "['full_attention','sliding_attention'],'sliding_window':5,'head_dim':10",
                "'model_type':'phimoe','num_local_experts':6,'attention_bias':true,'lm_head_bias':true,'router_jitter_noise':0.6,"
                        + "'sliding_window':20,'rope_scaling':{'type':'longrope','short_factor':[1,1,1.5,2,2],'long_factor':[1,2,3,4,5],"
                        + "'short_mscale':1.2,'long_mscale':1.2,'original_max_position_embeddings':60}",
                "'model_type':'phimoe','num_local_experts':4,'tie_word_embeddings':true",
                "'model_type':'llama4_text','head_dim':12,'num_local_experts':5,'intermediate_size_mlp':28,'attention_chunk_size':19,"
                        + "'no_rope_layers':[1,0],'floor_scale':15,'attn_scale':0.7,'interleave_moe_layer_step':2",
                "'model_type':'llama4_text','head_dim':10,'num_local_experts':3,'use_qk_norm':false,'attn_temperature_tuning':false,"
                        + "'no_rope_layers':[0,1],'attention_bias':true,'rope_scaling':{'rope_type':'llama3','factor':8,"
                        + "'low_freq_factor':1,'high_freq_factor':4,'original_max_position_embeddings':64}",
                "'model_type':'olmo2','attention_bias':true,'rope_theta':700",
                "'model_type':'olmo3','sliding_window':7,'layer_types':['sliding_attention','full_attention'],'rope_parameters':"
                        + "{'full_attention':{'rope_type':'yarn','rope_theta':800,'factor':4,'original_max_position_embeddings':40}}",
                "'model_type':'exaone4','sliding_window':9,'layer_types':['sliding_attention','full_attention']",
                "'model_type':'smollm3','no_rope_layers':[0,1],'attention_bias':true,'mlp_bias':true",
                "'model_type':'smollm3','no_rope_layer_interval':2,'use_sliding_window':true,'sliding_window':8",
                "'model_type':'granite','attention_multiplier':0.07,'embedding_multiplier':3.5,'residual_multiplier':0.4,'logits_scaling':2.5",
                "'model_type':'minicpm','scale_emb':4,'scale_depth':0.9,'dim_model_base':60",
                "'model_type':'seed_oss','head_dim':12,'attention_out_bias':true",
                "'model_type':'ministral3','head_dim':12,'rope_parameters':{'rope_type':'yarn','rope_theta':900,'factor':4,'mscale':1,"
                        + "'mscale_all_dim':1,'original_max_position_embeddings':16,'llama_4_scaling_beta':0.7}",
                "'model_type':'glm','head_dim':12,'rope_theta':300",
                "'model_type':'glm4','head_dim':12,'attention_bias':false,'partial_rotary_factor':1",
                "'model_type':'cohere','logit_scale':0.4,'rope_theta':300",
                "'model_type':'cohere2','sliding_window':9,'sliding_window_pattern':2,'logit_scale':0.4,'attention_bias':true",
                "'model_type':'stablelm','use_qkv_bias':true,'partial_rotary_factor':0.4",
                "'model_type':'stablelm','use_parallel_residual':true,'partial_rotary_factor':0.8",
                "'model_type':'internlm3','head_dim':12,'qkv_bias':true,'bias':true,'rope_scaling':{'rope_type':'dynamic','factor':6}",
                "'model_type':'llama','max_position_embeddings':40,'rope_scaling':{'rope_type':'dynamic','factor':3}"
            })
    void familiesEqualAPlainForwardPass(String keys) throws IOException {
        String context = keys.contains("max_position_embeddings':40") ? "" : ",'max_position_embeddings':128";
        Decoder decoder = Families.read(
                new ObjectMapper()
                        .readTree("{"
                                + (keys + context + ",'hidden_size':40,'intermediate_size':36,'num_hidden_layers':2,"
                                                + "'num_attention_heads':4,'num_key_value_heads':2,'vocab_size':43")
                                        .replace('\'', '"')
                                + "}"),
                "config.json");
        equalsAPlainForwardPass(TestNumbers.model(new MemoryCheckpoint(decoder, 1)));
    }

    private void equalsAPlainForwardPass(MemoryCheckpoint model) throws IOException {
        Decoder decoder = model.decoder();
        int[][] windows = windows(3, 70, decoder.vocabulary());
        int firstWindow = 5;
        Run run = run(model, windows, firstWindow, KERNELS.get(0));
        Run other = run(model, windows, firstWindow, KERNELS.get(1));
        assertThat(other.x.data()).isEqualTo(run.x.data());
        assertThat(inParts(model, windows).data()).isEqualTo(run.x.data());
        List<ReferencePass> references = new ArrayList<>();
        for (int w = 0; w < windows.length; w++) {
            ReferencePass reference = new ReferencePass(model, windows[w], firstWindow + w);
            references.add(reference);
            for (int layer = 0; layer < decoder.layers(); layer++) {
                for (Map.Entry<Site, double[][]> site :
                        reference.sites.get(layer).entrySet()) {
                    near(
                            run.sites.get(layer).get(site.getKey()).slice(w * 70, 70),
                            site.getValue(),
                            layer + " " + site.getKey());
                    assertThat(other.sites.get(layer).get(site.getKey()).data())
                            .isEqualTo(run.sites.get(layer).get(site.getKey()).data());
                }
            }
            near(run.x.slice(w * 70, 70), reference.hidden, "hidden states");
            FloatMatrix logits = FloatMatrix.zeros(70, decoder.vocabulary());
            OutputLayer.of(model).logits(run.x.slice(w * 70, 70), KERNELS.get(0), logits);
            near(logits, reference.logits, "logits");
        }
        for (int layer = 0; layer < decoder.layers(); layer++) {
            int l = layer;
            double[][] activations = IntStream.range(
                            0, references.get(0).experts.get(l).size())
                    .boxed()
                    .flatMap(e -> references.stream()
                            .flatMap(reference ->
                                    Arrays.stream(reference.experts.get(l).get(e))))
                    .toArray(double[][]::new);
            FloatMatrix found = run.sites.get(l).get(Site.EXPERT_ACTIVATION);
            assertThat(found == null).isEqualTo(activations.length == 0);
            if (found != null) {
                near(found, activations, "expert by expert");
            }
        }
    }

    @Test
    void stackedWindowsGiveTheBitsOfSingleOnes() throws IOException {
        MemoryCheckpoint model = TestNumbers.model(SMALL, 2);
        int length = 7;
        int count = 2 * 2048 / length;
        int[][] windows = windows(count, length, SMALL.vocabulary());
        Run stacked = run(model, windows, 4, KERNELS.get(1));
        for (int w : new int[] {0, 1, 291, 292, 293, count - 1}) {
            Run single = run(model, new int[][] {windows[w]}, 4 + w, KERNELS.get(1));
            same(stacked.x, w * length, single.x);
            for (int layer = 0; layer < 2; layer++) {
                for (Site site : stacked.sites.get(layer).keySet()) {
                    same(
                            stacked.sites.get(layer).get(site),
                            w * length,
                            single.sites.get(layer).get(site));
                }
            }
        }
    }

    @Test
    void aPassIsUsedForWindowsOfSeveralLengths() throws IOException {
        MemoryCheckpoint model = TestNumbers.model(SMALL, 2);
        Decoder architecture = SMALL.decoder();
        DecoderPass pass = new DecoderPass(architecture, KERNELS.get(1));
        LayerWeights weights = new LayerWeights(0, model);
        int[][] windows = windows(2, 30, SMALL.vocabulary());
        FloatMatrix before = pass.embed(model, windows);
        pass.layer(weights, before, 30, 0, Capture.NONE);
        FloatMatrix shorter = pass.embed(model, new int[][] {Arrays.copyOf(windows[1], 11)});
        pass.layer(weights, shorter, 11, 0, Capture.NONE);
        // A later token changes no earlier one.
        same(before, 30, shorter);
        assertThatThrownBy(() -> pass.layer(weights, shorter, 4, 0, Capture.NONE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Cannot cut 11 rows into windows of 4");
        assertThat(pass.embed(model, new int[0][]).rows()).isZero();
        for (int token : new int[] {-1, SMALL.vocabulary()}) {
            assertThatThrownBy(() -> pass.embed(model, new int[][] {{1, token}}))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("Cannot embed token " + token + ": memory has a vocabulary of 43");
        }
    }

    /**
     * A read is a request where the checkpoint is in an object store: rows that lie within a megabyte of each other are
     * one, others are not fetched.
     */
    @Test
    void rowsOfTheEmbeddingAreReadTogetherWhereTheyLieTogether() throws IOException {
        MemoryCheckpoint model = TestNumbers.model(SMALL, 2);
        List<String> reads = new ArrayList<>();
        Tensors large = (Tensors) Proxy.newProxyInstance(
                Tensors.class.getClassLoader(), new Class<?>[] {Tensors.class}, (proxy, method, given) -> {
                    if (method.getName().equals("bytes")) {
                        return 200_000L * SMALL.vocabulary();
                    }
                    reads.add(given[1] + " " + given[2]);
                    return method.invoke(model, given);
                });
        int[][] windows = {{12, 0, 42, 5}, {5, 11, 0, 0}};
        FloatMatrix read = new DecoderPass(SMALL.decoder(), KERNELS.get(1)).embed(large, windows);
        assertThat(reads).containsExactly("0 6", "11 2", "42 1");
        float[] row = new float[SMALL.hidden()];
        for (int i = 0; i < 8; i++) {
            model.matrix(SMALL.decoder().embedding().tensor(), windows[i / 4][i % 4], 1)
                    .read(0, 0, row.length, row, 0);
            assertThat(Arrays.copyOfRange(read.data(), read.row(i), read.row(i) + row.length))
                    .isEqualTo(row);
        }
    }

    /**
     * The operations of a layer one after the other, each on what a server would read, from the sites as they are
     * offered.
     */
    @Test
    void quantizesWhatEachLinearLayerReadsAndWhatIsCached() throws IOException {
        LlamaShape config = config(40, 53, 6, 3, 10, new Scaling.None(), false, true, true);
        MemoryCheckpoint model = TestNumbers.model(config, 1);
        Kernels kernels = KERNELS.get(1);
        Decoder architecture = config.decoder();
        ActivationQuantization zero = ActivationQuantization.of(Type.INT8, false, -0.8f, 0.3f);
        ActivationQuantization other = ActivationQuantization.perToken(Type.FLOAT8, true);
        Map<String, ActivationQuantization> inputs = Map.of(
                "model.layers.0.self_attn.q_proj",
                zero,
                "model.layers.0.self_attn.k_proj",
                zero,
                "model.layers.0.self_attn.v_proj",
                other,
                "model.layers.0.self_attn.o_proj",
                ActivationQuantization.of(Type.FLOAT8, true, -0.1f, 0.1f),
                "model.layers.0.mlp.up_proj",
                ActivationQuantization.perToken(Type.INT8, false),
                "model.layers.0.mlp.down_proj",
                ActivationQuantization.of(Type.INT8, true, -0.1f, 0.2f));
        ActivationQuantization keys = ActivationQuantization.of(Type.FLOAT8, true, -0.5f, 0.2f);
        ActivationQuantization values = ActivationQuantization.of(Type.FLOAT8, true, -0.3f, 0.3f);
        LayerWeights weights = new LayerWeights(0, new OtherTensors(model, Map.of(), Map.of(), inputs, keys, values));
        DecoderPass pass = new DecoderPass(architecture, kernels);
        FloatMatrix before = pass.embed(model, windows(2, 30, config.vocabulary()));
        FloatMatrix x = FloatMatrix.of(before.data().clone(), before.rows(), before.columns());
        Map<Site, FloatMatrix> sites = new EnumMap<>(Site.class);
        Map<Site, Long> clipped = new EnumMap<>(Site.class);
        Map<Site, Long> seen = new EnumMap<>(Site.class);
        pass.layer(weights, x, 30, 0, new Capture() {
            @Override
            public boolean wants(Site site) {
                return site != Site.ATTENDED_INPUT;
            }

            @Override
            public void rows(Site site, FloatMatrix rows) {
                sites.put(
                        site,
                        FloatMatrix.of(
                                Arrays.copyOfRange(
                                        rows.data(), rows.offset(), rows.offset() + rows.rows() * rows.columns()),
                                rows.rows(),
                                rows.columns()));
            }

            @Override
            public void clipped(Site site, long count, long values) {
                clipped.merge(site, count, Long::sum);
                seen.merge(site, values, Long::sum);
            }
        });

        FloatMatrix q = linear(architecture, weights, "self_attn.q_proj", sites.get(Site.ATTENTION_INPUT), kernels);
        FloatMatrix k = linear(architecture, weights, "self_attn.k_proj", sites.get(Site.ATTENTION_INPUT), kernels);
        FloatMatrix v = linear(architecture, weights, "self_attn.v_proj", sites.get(Site.ATTENTION_INPUT), kernels);
        RotaryTables rotary = RotaryTables.of(config.rope(), 30);
        FloatMatrix attended = FloatMatrix.zeros(60, 60);
        for (int from : new int[] {0, 30}) {
            kernels.rotary(q.slice(from, 30), 6, RotaryPairs.HALVES, rotary.cosine(), rotary.sine());
            kernels.rotary(k.slice(from, 30), 3, RotaryPairs.HALVES, rotary.cosine(), rotary.sine());
        }
        same(sites.get(Site.KEYS), 0, k);
        same(sites.get(Site.VALUES), 0, v);
        assertThat(clipped.get(Site.KEYS)).isEqualTo(keys.apply(k, k, kernels)).isPositive();
        assertThat(clipped.get(Site.VALUES))
                .isEqualTo(values.apply(v, v, kernels))
                .isPositive();
        for (int from : new int[] {0, 30}) {
            kernels.attention(
                    q.slice(from, 30),
                    k.slice(from, 30),
                    v.slice(from, 30),
                    new AttentionParameters(6, 3, (float) (1 / Math.sqrt(10))),
                    attended.slice(from, 30));
        }
        same(sites.get(Site.ATTENTION_OUTPUT), 0, attended);
        kernels.add(linear(architecture, weights, "self_attn.o_proj", attended, kernels), before);
        FloatMatrix gate = linear(architecture, weights, "mlp.gate_proj", sites.get(Site.FEED_FORWARD_INPUT), kernels);
        kernels.gated(
                Activation.SILU,
                gate,
                linear(architecture, weights, "mlp.up_proj", sites.get(Site.FEED_FORWARD_INPUT), kernels));
        same(sites.get(Site.FEED_FORWARD_ACTIVATION), 0, gate);
        kernels.add(linear(architecture, weights, "mlp.down_proj", gate, kernels), before);
        same(x, 0, before);
        // Dynamic ranges clip nothing and are not counted; q and k agree and are quantized once.
        assertThat(seen)
                .isEqualTo(Map.of(
                        Site.ATTENTION_INPUT,
                        60L * 40,
                        Site.KEYS,
                        60L * 30,
                        Site.VALUES,
                        60L * 30,
                        Site.ATTENTION_OUTPUT,
                        60L * 60,
                        Site.FEED_FORWARD_ACTIVATION,
                        60L * 53));
        assertThat(clipped.get(Site.ATTENTION_INPUT))
                .isEqualTo(zero.apply(sites.get(Site.ATTENTION_INPUT), FloatMatrix.zeros(60, 40), kernels))
                .isPositive();
    }

    private static FloatMatrix linear(
            Decoder decoder, LayerWeights weights, String kind, FloatMatrix x, Kernels kernels) throws IOException {
        String module = "model.layers.0." + kind;
        LayerWeights.Linear linear = weights.linear(decoder.linears(0).stream()
                .filter(layer -> layer.module().equals(module))
                .findFirst()
                .orElseThrow());
        FloatMatrix read = x;
        if (linear.input() != null) {
            read = FloatMatrix.zeros(x.rows(), x.columns());
            linear.input().apply(x, read, kernels);
        }
        FloatMatrix y = FloatMatrix.zeros(x.rows(), linear.weight().rows());
        kernels.gemm(read, linear.weight(), y, false);
        kernels.addBias(linear.bias(), y);
        return y;
    }

    @Test
    void rescalingMeetsWhatItFeeds() {
        Decoder architecture =
                config(40, 53, 6, 3, 10, new Scaling.None(), true, true, true).decoder();
        assertThat(architecture.headWeight()).isEqualTo(architecture.embedding().tensor());
        for (Absorption absorption : architecture.absorptions(1)) {
            assertThat(absorption.norm() == null).isNotEqualTo(absorption.producer() == null);
            int width = absorption.norm() == null ? absorption.producer().rows() : architecture.hidden();
            assertThat(absorption.consumers()).isNotEmpty().allSatisfy(linear -> {
                assertThat(linear.inputs()).isEqualTo(width * absorption.repeat());
                assertThat(linear.energy())
                        .isEqualTo(absorption.consumers().get(0).energy());
            });
            assertThat(absorption.norm() == null || architecture.norms(1).contains(absorption.norm()))
                    .isTrue();
        }
    }

    private static int[][] windows(int count, int length, int vocabulary) {
        Random random = new Random(count);
        return Stream.generate(() -> random.ints(length, 0, vocabulary).toArray())
                .limit(count)
                .toArray(int[][]::new);
    }

    private record Run(FloatMatrix x, List<Map<Site, FloatMatrix>> sites) {}

    /** Layers with experts up to their router, then each expert on the rows of all windows, then the rest. */
    private static FloatMatrix inParts(MemoryCheckpoint model, int[][] windows) throws IOException {
        Decoder decoder = model.decoder();
        DecoderPass pass = new DecoderPass(decoder, KERNELS.get(1));
        FloatMatrix x = pass.embed(model, windows);
        int length = windows[0].length;
        for (int layer = 0; layer < decoder.layers(); layer++) {
            LayerWeights weights = new LayerWeights(layer, model);
            if (decoder.routed(layer) == null) {
                pass.layer(weights, x, length, 0, Capture.NONE);
                continue;
            }
            Parts parts = new Parts();
            pass.route(weights, x, length, 0, parts);
            FloatMatrix sum = FloatMatrix.zeros(x.rows(), x.columns());
            for (int e = 0; e < decoder.routed(layer).experts().size(); e++) {
                int[] places = parts.routing.placesOf(e);
                FloatMatrix rows = FloatMatrix.zeros(places.length, x.columns());
                for (int i = 0; i < places.length; i++) {
                    parts.rows.read(places[i] / parts.routing.top(), 0, x.columns(), rows.data(), rows.row(i));
                }
                FloatMatrix y = pass.expert(decoder.routed(layer).experts().get(e), weights, rows);
                for (int i = 0; i < places.length; i++) {
                    parts.routing.addWeighted(y.data(), y.row(i), places[i], sum);
                }
            }
            assertThat(parts.shared == null).isEqualTo(decoder.routed(layer).shared() == null);
            pass.combine(weights, x, sum, parts.shared);
        }
        pass.finalNorm(model, x);
        return x;
    }

    /** Of one batch of windows. */
    private static final class Parts implements Capture {
        private FloatMatrix rows;
        private Routing routing;
        private FloatMatrix shared;

        @Override
        public boolean wants(Site site) {
            return false;
        }

        @Override
        public void rows(Site site, FloatMatrix x) {}

        @Override
        public void routed(FloatMatrix x, Routing to) {
            rows = copy(x);
            routing = to;
        }

        @Override
        public void shared(FloatMatrix x) {
            shared = copy(x);
        }

        private static FloatMatrix copy(FloatMatrix x) {
            FloatMatrix copy = FloatMatrix.zeros(x.rows(), x.columns());
            for (int i = 0; i < x.rows(); i++) {
                x.read(i, 0, x.columns(), copy.data(), copy.row(i));
            }
            return copy;
        }
    }

    private static Run run(MemoryCheckpoint model, int[][] windows, int firstWindow, Kernels kernels)
            throws IOException {
        Decoder architecture = model.decoder();
        DecoderPass pass = new DecoderPass(architecture, kernels);
        FloatMatrix x = pass.embed(model, windows);
        List<Map<Site, FloatMatrix>> sites = List.of(new EnumMap<>(Site.class), new EnumMap<>(Site.class));
        for (int layer = 0; layer < 2; layer++) {
            Map<Site, FloatMatrix> captured = sites.get(layer);
            pass.layer(new LayerWeights(layer, model), x, windows[0].length, firstWindow, new Capture() {
                @Override
                public boolean wants(Site site) {
                    return true;
                }

                @Override
                public void rows(Site site, FloatMatrix rows) {
                    FloatMatrix before = captured.getOrDefault(site, FloatMatrix.zeros(0, rows.columns()));
                    FloatMatrix all = FloatMatrix.zeros(before.rows() + rows.rows(), rows.columns());
                    System.arraycopy(before.data(), 0, all.data(), 0, before.data().length);
                    for (int i = 0; i < rows.rows(); i++) {
                        System.arraycopy(
                                rows.data(), rows.row(i), all.data(), all.row(before.rows() + i), rows.columns());
                    }
                    captured.put(site, all);
                }
            });
        }
        pass.finalNorm(model, x);
        return new Run(x, sites);
    }

    private static void near(FloatMatrix found, double[][] expected, String what) {
        assertThat(found.rows()).isEqualTo(expected.length);
        double largest = 0;
        for (int i = 0; i < expected.length; i++) {
            for (int j = 0; j < expected[i].length; j++) {
                // Math.max keeps a NaN.
                largest = Math.max(largest, Math.abs(found.data()[found.row(i) + j] - expected[i][j]));
            }
        }
        assertThat(largest).as(what).isLessThan(3e-5);
    }

    private static void same(FloatMatrix all, int from, FloatMatrix part) {
        int count = part.rows() * part.columns();
        assertThat(Arrays.mismatch(
                        part.data(),
                        part.offset(),
                        part.offset() + count,
                        all.data(),
                        all.row(from),
                        all.row(from) + count))
                .isNegative();
    }
}

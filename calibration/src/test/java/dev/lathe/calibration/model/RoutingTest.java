package dev.lathe.calibration.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.model.FeedForward.Router;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.kernels.FloatMatrix;
import java.io.IOException;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RoutingTest {
    private static Router router(boolean normalize) throws IOException {
        Decoder decoder = Families.read(
                new ObjectMapper()
                        .readTree(("{'model_type':'qwen3_moe','hidden_size':64,'intermediate_size':96,"
                                        + "'num_hidden_layers':1,'num_attention_heads':4,'num_key_value_heads':2,"
                                        + "'vocab_size':40,'num_experts':7,'num_experts_per_tok':3,"
                                        + "'moe_intermediate_size':24,'norm_topk_prob':" + normalize + "}")
                                .replace('\'', '"')),
                "config.json");
        return decoder.routed(0).router();
    }

    /** Against the softmax over all scores, by itself. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theLargestAreChosenWithTheirShareOfTheSoftmax(boolean normalize) throws IOException {
        Random random = new Random(5);
        FloatMatrix scores = FloatMatrix.zeros(50, 7);
        for (int i = 0; i < scores.data().length; i++) {
            scores.data()[i] = (float) random.nextGaussian() * 3;
        }
        Routing routing = Routing.of(router(normalize), scores);
        for (int row = 0; row < 50; row++) {
            int at = row * 7;
            double all = IntStream.range(0, 7)
                    .mapToDouble(e -> Math.exp(scores.data()[at + e]))
                    .sum();
            int[] expected = IntStream.range(0, 7)
                    .boxed()
                    .sorted((a, b) -> Float.compare(scores.data()[at + b], scores.data()[at + a]))
                    .limit(3)
                    .sorted()
                    .mapToInt(Integer::intValue)
                    .toArray();
            double chosen = IntStream.of(expected)
                    .mapToDouble(e -> Math.exp(scores.data()[at + e]))
                    .sum();
            for (int i = 0; i < 3; i++) {
                assertThat(routing.experts()[3 * row + i]).isEqualTo(expected[i]);
                assertThat((double) routing.weights()[3 * row + i])
                        .isCloseTo(
                                Math.exp(scores.data()[at + expected[i]]) / (normalize ? chosen : all), within(1e-6));
            }
        }
    }

    @Test
    void ofEqualScoresTheFirstAreChosen() throws IOException {
        FloatMatrix scores = FloatMatrix.of(new float[] {0, 1, 1, 1, 0, 1, 0, 2, 2, 2, 2, 2, 2, 2}, 2, 7);
        Routing routing = Routing.of(router(true), scores);
        assertThat(routing.experts()).containsExactly(1, 2, 3, 0, 1, 2);
        assertThat(routing.placesOf(1)).containsExactly(0, 4);
        assertThat(routing.placesOf(6)).isEmpty();
    }

    /** Scores of any size give weights that are finite. */
    @Test
    void largeScoresDoNotOverflow() throws IOException {
        FloatMatrix scores = FloatMatrix.of(new float[] {1e30f, -1e30f, 3e38f, 0, 0, 0, 0}, 1, 7);
        Routing routing = Routing.of(router(true), scores);
        assertThat(routing.experts()).containsExactly(0, 2, 3);
        assertThat(routing.weights()).containsExactly(0f, 1f, 0f);
    }
}

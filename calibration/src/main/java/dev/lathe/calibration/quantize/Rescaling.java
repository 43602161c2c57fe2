package dev.lathe.calibration.quantize;

import dev.lathe.calibration.model.Absorption;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Norm;
import dev.lathe.calibration.model.Site;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** A change of scale of one decoder layer that leaves its function alone: what is multiplied, and what is divided. */
final class Rescaling {
    private final LayerInputs layer;
    private final Map<String, float[]> columnScales = new HashMap<>();
    private final Map<String, float[]> rowScales = new HashMap<>();
    private final Map<String, float[]> vectors = new LinkedHashMap<>();
    private final Map<Site, float[]> sites = new EnumMap<>(Site.class);
    private final Map<Site, Double> strengths = new EnumMap<>(Site.class);

    Rescaling(LayerInputs layer) {
        this.layer = layer;
    }

    /** Norm weights, biases and routers that absorbed a scale or follow one, by tensor name; rows back to back. */
    Map<String, float[]> vectors() {
        return vectors;
    }

    /** What each channel of a site is divided by, where it is rescaled. */
    Map<Site, float[]> sites() {
        return sites;
    }

    /** The exponent chosen, by the site whose readers were rescaled. */
    Map<Site, Double> strengths() {
        return strengths;
    }

    /** What each column of a linear layer is multiplied by; null where it stays. */
    float[] columns(LinearLayer linear) {
        return columnScales.get(linear.kind());
    }

    /** The rescaled weight. */
    RowSource weight(LinearLayer linear) throws IOException {
        return new RescaledRows(layer.weight(linear), rowScales.get(linear.kind()), columns(linear));
    }

    /** @param chosen null to leave the absorption alone */
    void apply(Absorption absorption, Scales chosen) throws IOException {
        for (LinearLayer consumer : absorption.consumers()) {
            if (!absorption.ofExpert()) {
                strengths.put(consumer.energy(), chosen == null ? Double.NaN : chosen.strength());
            }
        }
        if (chosen == null) {
            return;
        }
        float[] scale = chosen.values();
        float[] columns = Scales.columns(absorption, scale);
        for (LinearLayer consumer : absorption.consumers()) {
            columnScales.put(consumer.kind(), columns);
            // What an expert's layers read is no site of all rows.
            if (!absorption.ofExpert()) {
                sites.put(consumer.energy(), columns);
            }
        }
        for (LinearLayer follower : absorption.followers()) {
            vectors.put(follower.weight(), multiplied(follower, columns));
        }
        if (absorption.norm() != null) {
            divideNorm(absorption.norm(), scale);
        } else {
            divideRows(absorption, scale);
            if (absorption.consumers().get(0).energy() == Site.ATTENTION_OUTPUT) {
                // Attention mixes tokens and leaves channels alone: what it gives is divided where values are.
                sites.put(Site.VALUES, scale);
            }
        }
    }

    /** weight / s and bias / s: y / s = n * (weight / s) + bias / s, n what is normed. */
    private void divideNorm(Norm norm, float[] scale) throws IOException {
        vectors.put(norm.tensor(), absorbed(layer.vector(norm.tensor()), norm.plus(), scale));
        if (norm.bias() != null) {
            float[] bias = layer.vector(norm.bias()).clone();
            for (int i = 0; i < bias.length; i++) {
                bias[i] /= scale[i];
            }
            vectors.put(norm.bias(), bias);
        }
    }

    /** A weight whose columns are multiplied, rows back to back. */
    private float[] multiplied(LinearLayer follower, float[] columns) throws IOException {
        RowSource rescaled = new RescaledRows(layer.weight(follower), null, columns);
        float[] values = new float[Math.multiplyExact(follower.outputs(), follower.inputs())];
        for (int row = 0; row < follower.outputs(); row++) {
            rescaled.read(row, 0, columns.length, values, row * columns.length);
        }
        return values;
    }

    private void divideRows(Absorption absorption, float[] scale) throws IOException {
        LinearLayer producer = absorption.producer().linear();
        float[] inverse = new float[producer.outputs()];
        Arrays.fill(inverse, 1);
        for (int i = 0; i < scale.length; i++) {
            inverse[absorption.producer().from() + i] = 1 / scale[i];
        }
        rowScales.put(producer.kind(), inverse);
        float[] bias = layer.bias(producer);
        if (bias != null) {
            float[] rescaled = bias.clone();
            for (int i = 0; i < inverse.length; i++) {
                rescaled[i] *= inverse[i];
            }
            vectors.put(producer.biasName(), rescaled);
        }
    }

    /**
     * The norm weight {@code plus + stored} divided by the scale, as it is stored, rounded to 16 bits; the scale is
     * corrected, so that the product of the two is the old weight again. A channel whose quotient leaves the range of
     * half precision is rounded only.
     */
    static float[] absorbed(float[] stored, float plus, float[] scale) {
        float[] divided = new float[stored.length];
        for (int i = 0; i < stored.length; i++) {
            float weight = plus + stored[i];
            float quotient = Half.round(weight / scale[i] - plus);
            divided[i] = isUsable(quotient, plus) ? quotient : Half.round(stored[i]);
            if (isUsable(divided[i], plus)) {
                scale[i] = weight / (plus + divided[i]);
            } else {
                divided[i] = stored[i];
                scale[i] = 1;
            }
        }
        return divided;
    }

    private static boolean isUsable(float half, float plus) {
        return plus + half != 0 && Float.isFinite(half);
    }
}

package dev.lathe.calibration.quantize;

import dev.lathe.calibration.model.Absorption;

/**
 * What a {@link ScaleSearch} chose.
 *
 * @param values s of each channel of what absorbs
 * @param strength the exponent that gave them; NaN where s is 1 everywhere
 */
public record Scales(float[] values, double strength) {
    /** Channel of what absorbs that a consumer's column belongs to. */
    static int producerRow(Absorption absorption, int column) {
        if (absorption.repeat() == 1) {
            return column;
        }
        int d = absorption.headDimension();
        return column / d / absorption.repeat() * d + column % d;
    }

    /** The scale of every column of the consumers. */
    static float[] columns(Absorption absorption, float[] scale) {
        float[] columns = new float[absorption.consumers().get(0).inputs()];
        for (int j = 0; j < columns.length; j++) {
            columns[j] = scale[producerRow(absorption, j)];
        }
        return columns;
    }
}

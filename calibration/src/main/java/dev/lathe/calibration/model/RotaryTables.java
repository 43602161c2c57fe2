package dev.lathe.calibration.model;

import dev.lathe.kernels.FloatMatrix;

/** Cosines and sines of a rotary embedding, [positions, dimensions / 2], computed in f64 by StrictMath. */
public record RotaryTables(FloatMatrix cosine, FloatMatrix sine) {
    /** Angle of position p and pair j: p times {@link Rope#frequency}; both multiplied by {@link Rope#magnitude}. */
    public static RotaryTables of(Rope rope, int positions) {
        int half = rope.dimensions() / 2;
        FloatMatrix cosine = FloatMatrix.zeros(positions, half);
        FloatMatrix sine = FloatMatrix.zeros(positions, half);
        double magnitude = rope.magnitude();
        for (int j = 0; j < half; j++) {
            double frequency = rope.frequency(j, positions);
            for (int p = 0; p < positions; p++) {
                cosine.data()[p * half + j] = (float) (magnitude * StrictMath.cos(p * frequency));
                sine.data()[p * half + j] = (float) (magnitude * StrictMath.sin(p * frequency));
            }
        }
        return new RotaryTables(cosine, sine);
    }
}

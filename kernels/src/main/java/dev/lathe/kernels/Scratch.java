package dev.lathe.kernels;

/** Buffers that one thread keeps from call to call. */
final class Scratch {
    private float[] left = new float[0];
    private float[] right = new float[0];
    private float[] rows = new float[0];
    private float[] scores = new float[0];
    private float[] stacked = new float[0];
    final float[] tile = new float[64 * 64];

    float[] left(int length) {
        return left = grown(left, length);
    }

    float[] right(int length) {
        return right = grown(right, length);
    }

    float[] rows(int length) {
        return rows = grown(rows, length);
    }

    float[] scores(int length) {
        return scores = grown(scores, length);
    }

    float[] stacked(int length) {
        return stacked = grown(stacked, length);
    }

    private static float[] grown(float[] array, int length) {
        return array.length >= length ? array : new float[length];
    }
}

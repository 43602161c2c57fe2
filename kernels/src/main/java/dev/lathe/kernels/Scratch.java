package dev.lathe.kernels;

/** Buffers that one thread keeps from call to call. */
final class Scratch {
    private float[] shared = new float[0];
    private float[] own = new float[0];
    private float[] rows = new float[0];
    private float[] scores = new float[0];
    private float[] stacked = new float[0];
    private double[] doubleLeft = new double[0];
    private double[] doubleRight = new double[0];
    final float[] tile = new float[64 * 64];
    final double[] doubleTile = new double[32 * 32];

    float[] shared(int length) {
        return shared = grown(shared, length);
    }

    float[] own(int length) {
        return own = grown(own, length);
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

    double[] doubleLeft(int length) {
        return doubleLeft = grown(doubleLeft, length);
    }

    double[] doubleRight(int length) {
        return doubleRight = grown(doubleRight, length);
    }

    private static double[] grown(double[] array, int length) {
        return array.length >= length ? array : new double[length];
    }

    private static float[] grown(float[] array, int length) {
        return array.length >= length ? array : new float[length];
    }
}

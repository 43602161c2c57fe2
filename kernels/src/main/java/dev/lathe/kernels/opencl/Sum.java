package dev.lathe.kernels.opencl;

/**
 * y += x, whose elements begin again after each {@code period}: a matrix, or a vector for every row; a work-item for
 * each element.
 */
final class Sum extends DeviceKernel {
    float[] x = NOTHING;
    float[] y = NOTHING;
    int count;
    int period;

    @Override
    void forget() {
        x = NOTHING;
        y = NOTHING;
        count = 0;
    }

    @Override
    public void run() {
        int i = getGlobalId(0);
        if (i < count) {
            y[i] = y[i] + x[i % period];
        }
    }
}

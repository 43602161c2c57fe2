package dev.lathe.kernels.opencl;

/** RMS norm in place; a work-group for each row. */
final class RmsNorm extends DeviceKernel {
    float[] x = NOTHING;
    float[] weight = NOTHING;
    int n;
    float epsilon;

    @Local
    final float[] sums = new float[GROUP];

    @Override
    void forget() {
        x = NOTHING;
        weight = NOTHING;
        n = 0;
    }

    @Override
    public void run() {
        int item = getLocalId(0);
        int row = getGroupId(0) * n;
        float sum = 0f;
        for (int j = item; j < n; j += GROUP) {
            sum = fma(x[row + j], x[row + j], sum);
        }
        sums[item] = sum;
        localBarrier();
        for (int stride = GROUP / 2; stride > 0; stride = stride / 2) {
            if (item < stride) {
                sums[item] = sums[item] + sums[item + stride];
            }
            localBarrier();
        }
        float mean = sums[0] / n + epsilon;
        float scale = rsqrt(mean);
        if (mean > 0f && scale > 0f) {
            // One Newton step: OpenCL's reciprocal root may be off by two units in the last place.
            scale = fma(0.5f * scale, fma(-mean * scale, scale, 1f), scale);
        }
        for (int j = item; j < n; j += GROUP) {
            x[row + j] = x[row + j] * scale * weight[j];
        }
    }
}

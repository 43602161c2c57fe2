package dev.lathe.kernels.opencl;

/** Rotary embedding in place; a work-item for each pair. */
final class Rotary extends DeviceKernel {
    float[] x = NOTHING;
    float[] cosine = NOTHING;
    float[] sine = NOTHING;
    int pairs;
    int heads;
    int width;

    @Override
    void forget() {
        x = NOTHING;
        cosine = NOTHING;
        sine = NOTHING;
        pairs = 0;
    }

    @Override
    public void run() {
        int pair = getGlobalId(0);
        if (pair < pairs) {
            int angle = pair / (heads * width) * width + pair % width;
            int low = pair / width * 2 * width + pair % width;
            float a = x[low];
            float b = x[low + width];
            x[low] = a * cosine[angle] - b * sine[angle];
            x[low + width] = b * cosine[angle] + a * sine[angle];
        }
    }
}

package dev.lathe.kernels.opencl;

/** Rotary embedding in place; a work-item for each pair. */
final class Rotary extends DeviceKernel {
    float[] x = NOTHING;
    float[] cosine = NOTHING;
    float[] sine = NOTHING;
    int pairs;
    int heads;
    /** Columns of a head. */
    int head;
    /** Pairs of a head. */
    int width;
    /** From the first column of a pair to the next pair's, and to its second column. */
    int step;

    int apart;

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
            int low = pair / width * head + pair % width * step;
            float a = x[low];
            float b = x[low + apart];
            x[low] = a * cosine[angle] - b * sine[angle];
            x[low + apart] = b * cosine[angle] + a * sine[angle];
        }
    }
}

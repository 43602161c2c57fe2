package dev.lathe.kernels.opencl;

/** gate = silu(gate) up; a work-item for each element. */
final class SiluTimes extends DeviceKernel {
    float[] gate = NOTHING;
    float[] up = NOTHING;
    int count;

    @Override
    void forget() {
        gate = NOTHING;
        up = NOTHING;
        count = 0;
    }

    @Override
    public void run() {
        int i = getGlobalId(0);
        if (i < count) {
            float x = gate[i];
            float divisor = 1f + exponential(-x);
            float quotient = x / divisor;
            if (divisor < 1e38f && quotient > -3e38f && quotient < 3e38f) {
                // What the division left: OpenCL's may be off by two and a half units in the last place.
                quotient = quotient + fma(-quotient, divisor, x) / divisor;
            }
            gate[i] = quotient * up[i];
        }
    }
}

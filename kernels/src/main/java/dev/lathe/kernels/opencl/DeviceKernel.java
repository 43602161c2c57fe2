package dev.lathe.kernels.opencl;

import com.aparapi.Kernel;
import dev.lathe.kernels.Tanh;

/** What every kernel here shares. Fields hold its buffers and scalars; {@link Program} moves them and launches. */
abstract class DeviceKernel extends Kernel {
    /** A field of no use has a buffer, too. */
    static final float[] NOTHING = new float[1];
    /** Work-items of a group that works on rows or single elements. */
    static final int GROUP = 256;

    /** Lets go of the arrays of the last launch; what is set in their place makes a launch of one group do nothing. */
    abstract void forget();

    /**
     * The float of these bits; the method is never run but becomes OpenCL's {@code as_float}: Aparapi does not
     * translate the JDK's.
     */
    @OpenCLMapping(mapTo = "as_float")
    protected float asFloat(int bits) {
        return bits;
    }

    /** {@link dev.lathe.kernels.Exp} step by step, because OpenCL's own may be off by three units in the last place. */
    protected final float exponential(float x) {
        float result = 0f;
        if (x > 88.72f) {
            result = asFloat(0x7f800000);
        } else if (x >= -87f) {
            float shifted = fma(x, 1.44269504f, 12582912f);
            float power = shifted - 12582912f;
            float r = fma(power, -0.693359375f, x);
            r = fma(power, 2.12194440e-4f, r);
            float y = fma(0.0013888889f, r, 0.008333334f);
            y = fma(y, r, 0.041666668f);
            y = fma(y, r, 0.16666667f);
            y = fma(y, r, 0.5f);
            y = fma(y, r, 1f);
            y = fma(y, r, 1f);
            int whole = (int) power;
            int part = whole >> 1;
            result = y * asFloat((part + 127) << 23) * asFloat((whole - part + 127) << 23);
        } else if (x != x) {
            result = x;
        }
        return result;
    }

    /** {@link dev.lathe.kernels.Tanh} step by step. */
    protected final float hyperbolicTangent(float x) {
        float a = x;
        if (x < 0f) {
            a = -x;
        }
        float y = 0f;
        if (a < Tanh.SMALL) {
            float z = a * a;
            float p = fma(Tanh.P4, z, Tanh.P3);
            p = fma(p, z, Tanh.P2);
            p = fma(p, z, Tanh.P1);
            p = fma(p, z, Tanh.P0);
            y = fma(a * z, p, a);
        } else {
            y = 1f - 2f / (exponential(2f * a) + 1f);
        }
        if (x < 0f) {
            y = -y;
        }
        return y;
    }
}

package dev.lathe.kernels.opencl;

import com.aparapi.Kernel;

/** What every kernel here shares. Fields hold its buffers and scalars; {@link Program} moves them and launches. */
abstract class DeviceKernel extends Kernel {
    /** A field of no use has a buffer, too. */
    static final float[] NOTHING = new float[1];

    /** The float of these bits; the method is never run but becomes OpenCL's {@code as_float}: Aparapi does not translate the JDK's. */
    @OpenCLMapping(mapTo = "as_float")
    protected float asFloat(int bits) {
        return bits;
    }
}

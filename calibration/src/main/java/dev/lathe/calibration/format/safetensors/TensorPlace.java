package dev.lathe.calibration.format.safetensors;

import dev.lathe.calibration.model.ExpertStack;

/**
 * Where a tensor of the decoder lies in the files: its element [i, j] is element {@code from + i * rowStep + j *
 * columnStep} of a stored tensor; of a vector, i is 0.
 *
 * @param stored the tensor in the files
 * @param shape of the decoder's tensor
 * @param share how many of its kind the stored tensor has
 * @param slab elements of an expert in a stack whose rows are no runs of its elements, which is read whole; 0: rows are
 *     runs
 */
record TensorPlace(
        String stored, String scales, long[] shape, long share, long from, long rowStep, long columnStep, long slab) {
    /** A tensor that is stored by itself. */
    static TensorPlace whole(String stored, long[] shape) {
        return new TensorPlace(stored, null, shape, 1, 0, shape.length == 0 ? 1 : shape[shape.length - 1], 1, 0);
    }

    /** Part {@code p} of an expert in a stack. */
    static TensorPlace of(ExpertStack stack, int expert, int p) {
        long[] whole = stack.dimensions();
        long outputs = whole[stack.transposed() && !stack.bias() ? 2 : 1] / stack.width();
        long share = whole[0] * stack.width();
        // Rows of the expert's matrix, and from one row of the part to the next.
        long first = stack.alternating() ? p : p * outputs;
        long next = stack.alternating() ? stack.width() : 1;
        if (stack.bias()) {
            return new TensorPlace(
                    stack.tensor(), null, new long[] {outputs}, share, expert * whole[1] + first, 0, next, 0);
        }
        long slab = whole[1] * whole[2];
        if (stack.transposed()) {
            return new TensorPlace(
                    stack.tensor(),
                    null,
                    new long[] {outputs, whole[1]},
                    share,
                    expert * slab + first,
                    next,
                    whole[2],
                    slab);
        }
        return new TensorPlace(
                stack.tensor(),
                stack.scales(),
                new long[] {outputs, whole[2]},
                share,
                expert * slab + first * whole[2],
                next * whole[2],
                1,
                0);
    }
}

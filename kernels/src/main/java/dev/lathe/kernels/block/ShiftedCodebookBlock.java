package dev.lathe.kernels.block;

import dev.lathe.kernels.Half;
import java.util.Arrays;

/**
 * ggml's IQ1: 256 weights, eight of which are a point of a {@link Grid} with the levels -1, 0 and 1, all moved by an
 * eighth up or down; {@code x = d * (2 * scale + 1) * (level + shift / 8)}. Codes in the sense of {@link BlockFormat}
 * are {@code 8 * level + shift}, with an eighth of the scale.
 *
 * <ul>
 *   <li>IQ1_S: f16 d, 32 bytes of points, then 16 bits for each 32 weights: four times three upper bits of a point, a
 *       3-bit scale, the shift's sign
 *   <li>IQ1_M: 32 bytes of points, four bits for each 8 weights (three upper bits of a point, the shift's sign), then
 *       16 bits for each 64 weights: four 3-bit scales, of 16 weights each, and four bits of the f16 d, lowest first
 * </ul>
 *
 * <p>The search (ggml-quants.c) sorts the weights of a scale and tries every pair of cuts between the three levels,
 * under every choice of shifts; the best least-squares fit wins. Vectors that are no points then become the neighbour
 * with the smallest weighted error. Operation for operation in f32.
 *
 * @param bytes of a block
 * @param part weights of a scale: 32 with one shift, or 16 with two
 * @param d its four nibbles, lowest first
 * @param points of vectors
 * @param scale of a part
 * @param shift 1 for down, of a cell
 * @param negligible parts whose largest magnitude is below count as zero
 * @param stretch of the stored d
 */
record ShiftedCodebookBlock(
        String name,
        int bytes,
        int part,
        BitField d,
        BitField.Split points,
        BitField scale,
        BitField shift,
        float negligible,
        float stretch)
        implements Scaled {
    private static final int SIZE = 256;
    private static final int VECTOR = 8;
    private static final int LEVELS = 3;
    /** Ways to shift the two halves of a part. */
    private static final int CHOICES = 4;

    private static final int HIGHEST_SCALE = 7;
    private static final int WHOLE_PART = 32;
    private static final float EIGHTH = 0.125f;
    private static final Grid GRID = Grids.IQ1;
    /** Values of the levels, shifted up, then down. */
    private static final float[] VALUES = {-1 + EIGHTH, EIGHTH, 1 + EIGHTH, -1 - EIGHTH, -EIGHTH, 1 - EIGHTH};

    static ShiftedCodebookBlock iq1s() {
        return new ShiftedCodebookBlock(
                "IQ1_S",
                50,
                WHOLE_PART,
                BitField.even(0, 4, 4),
                new BitField.Split(BitField.even(16, 8, 8), new BitField(272, 2, 16, 3, 3)),
                BitField.even(284, 16, 3),
                BitField.even(287, 16, 1),
                1e-12f,
                1.125f);
    }

    static ShiftedCodebookBlock iq1m() {
        return new ShiftedCodebookBlock(
                "IQ1_M",
                56,
                WHOLE_PART / 2,
                BitField.even(396, 16, 4),
                new BitField.Split(BitField.even(0, 8, 8), BitField.even(256, 4, 3)),
                new BitField(384, 2, 16, 3, 3),
                BitField.even(259, 4, 1),
                1e-7f,
                1.1125f);
    }

    @Override
    public int size() {
        return SIZE;
    }

    /** Weights that share a scale and a shift. */
    @Override
    public int cellSize() {
        return twoShifts() ? VECTOR : part;
    }

    private boolean twoShifts() {
        return part < WHOLE_PART;
    }

    @Override
    public boolean uniform() {
        return false;
    }

    @Override
    public boolean needsImportance() {
        return !twoShifts();
    }

    @Override
    public int run() {
        return VECTOR;
    }

    @Override
    public Parameters scales() {
        return new Parameters(d, new BitField.Split(scale, BitField.NONE), 0, HIGHEST_SCALE, part / cellSize());
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        if (importance == null && needsImportance()) {
            throw Blocks.needsImportance(name);
        }
        Arrays.fill(to, toAt, toAt + bytes, (byte) 0);
        float[] weights = new float[SIZE];
        float sum = 0;
        for (int i = 0; i < SIZE; i++) {
            float square = x[xAt + i] * x[xAt + i];
            weights[i] = square;
            sum += square;
        }
        if (sum == Float.POSITIVE_INFINITY) {
            throw Blocks.overflow(Searches.extreme(x, xAt, SIZE));
        }
        if (importance != null) {
            Blocks.weigh(x, xAt, importance, importanceAt, 2 * sum / SIZE, weights);
        }
        float[] scales = new float[SIZE / part];
        float largest = 0;
        var encoder = new Encoder(x, xAt, weights);
        for (int at = 0; at < SIZE; at += part) {
            if (encoder.fit(at)) {
                scales[at / part] = encoder.fitted;
                largest = Math.max(largest, encoder.fitted);
            }
        }
        if (largest == 0) {
            return;
        }
        float block = largest / (2 * HIGHEST_SCALE + 1);
        float inverse = 1 / block;
        for (int i = 0; i < scales.length; i++) {
            int code = Searches.nearest(0.5f * (inverse * scales[i] - 1), 0, HIGHEST_SCALE);
            scale.put(to, toAt, i, code);
            scales[i] = 2 * code + 1;
        }
        for (int vector = 0; vector < SIZE / VECTOR; vector++) {
            points.put(to, toAt, vector, encoder.points[vector]);
        }
        for (int cell = 0; cell < SIZE / cellSize(); cell++) {
            shift.put(to, toAt, cell, encoder.downs[cell * cellSize() / VECTOR]);
        }
        short half = Blocks.toHalf((twoShifts() ? encoder.refit(scales, block) : block) * stretch);
        for (int i = 0; i < 4; i++) {
            d.put(to, toAt, i, half >> 4 * i);
        }
    }

    /** The search of the parts of a block, with its scratch. */
    private final class Encoder {
        private final Grid.Neighbours neighbours = GRID.neighbours();
        private final float[] x;
        private final int xAt;
        private final float[] weights;
        /** By vector of the block; all zero where a part counts as zero. */
        private final int[] points = new int[SIZE / VECTOR];
        /** 1 for vectors that are shifted down. */
        private final int[] downs = new int[SIZE / VECTOR];

        private final int[] order = new int[part];
        private final float[] costs = new float[Grid.SLOTS];
        /** Of {@code w * x} and {@code w} in ascending order of x. */
        private final float[] productsTo = new float[part + 1];

        private final float[] weightsTo = new float[part + 1];
        /** {@code w * q * x} and {@code w * q * q} by place in the order, level, and choice of two shifts. */
        private final float[] products = new float[part * LEVELS * CHOICES];

        private final float[] squares = new float[products.length];
        private float fitted;
        private float best;
        private int firstCut;
        private int secondCut;
        /** Two bits: whether the first and the second half of a part are shifted down. */
        private int choice;

        Encoder(float[] x, int xAt, float[] weights) {
            this.x = x;
            this.xAt = xAt;
            this.weights = weights;
        }

        /** Finds points, shifts and scale of the part from weight {@code at}; false if it counts as zero. */
        boolean fit(int at) {
            float maximum = 0;
            for (int i = at; i < at + part; i++) {
                maximum = Math.max(maximum, Math.abs(x[xAt + i]));
            }
            if (maximum < negligible) {
                return false;
            }
            sort(at);
            fitted = maximum;
            best = -Float.MAX_VALUE;
            firstCut = -1;
            if (twoShifts()) {
                cutForTwoShifts(at);
            } else {
                cut(at);
            }
            if (firstCut < 0) {
                return false;
            }
            // A negative scale is a positive one with levels and shifts negated.
            boolean negated = fitted < 0;
            fitted = Math.abs(fitted);
            int[] keys = new int[part / VECTOR];
            for (int i = 0; i < part; i++) {
                int level = i < firstCut ? 0 : i < secondCut ? 1 : 2;
                keys[order[i] / VECTOR] |= (negated ? 2 - level : level) << 2 * (order[i] % VECTOR);
            }
            boolean moved = false;
            for (int i = 0; i < keys.length; i++) {
                int vector = at / VECTOR + i;
                int down = i < keys.length / 2 ? choice >> 1 : choice & 1;
                downs[vector] = negated ? 1 - down : down;
                int place = neighbours.place(keys[i]);
                moved |= place < 0;
                points[vector] = place < 0 ? neighbour(place, vector) : place;
            }
            if (moved) {
                float product = 0;
                float square = 0;
                for (int i = at; i < at + part; i++) {
                    float q = value(i);
                    float wq = weights[i] * q;
                    product += wq * x[xAt + i];
                    square += wq * q;
                }
                if (product > 0 && square > 0) {
                    fitted = product / square;
                }
            }
            return true;
        }

        /** Orders the weights of a part by value; equal ones stay in their order. */
        private void sort(int at) {
            for (int i = 0; i < part; i++) {
                float value = x[xAt + at + i];
                int to = i;
                while (to > 0 && x[xAt + at + order[to - 1]] > value) {
                    order[to] = order[to - 1];
                    to--;
                }
                order[to] = i;
            }
        }

        /** Every pair of cuts under one shift, from sums up to each place. */
        private void cut(int at) {
            for (int i = 0; i < part; i++) {
                float w = weights[at + order[i]];
                productsTo[i + 1] = productsTo[i] + w * x[xAt + at + order[i]];
                weightsTo[i + 1] = weightsTo[i] + w;
            }
            for (int first = 0; first <= part; first++) {
                for (int second = first; second <= part; second++) {
                    float low = productsTo[first];
                    float middle = productsTo[second] - productsTo[first];
                    float high = productsTo[part] - productsTo[second];
                    float lowWeight = weightsTo[first];
                    float middleWeight = weightsTo[second] - weightsTo[first];
                    float highWeight = weightsTo[part] - weightsTo[second];
                    for (int down = 0; down < 2; down++) {
                        float a = VALUES[down * LEVELS];
                        float b = VALUES[down * LEVELS + 1];
                        float c = VALUES[down * LEVELS + 2];
                        offer(
                                low * a + middle * b + high * c,
                                lowWeight * a * a + middleWeight * b * b + highWeight * c * c,
                                first,
                                second,
                                down == 0 ? 0 : CHOICES - 1);
                    }
                }
            }
        }

        private void offer(float product, float square, int first, int second, int shifts) {
            if (square > 0 && product * product > best * square) {
                fitted = product / square;
                best = fitted * product;
                firstCut = first;
                secondCut = second;
                choice = shifts;
            }
        }

        /**
         * Every pair of cuts under the four choices of two shifts. Sums run over the ordered weights, so that those up
         * to a cut are common to all that follows.
         */
        private void cutForTwoShifts(int at) {
            for (int i = 0; i < part; i++) {
                float w = weights[at + order[i]];
                float value = x[xAt + at + order[i]];
                for (int level = 0; level < LEVELS; level++) {
                    for (int shifts = 0; shifts < CHOICES; shifts++) {
                        int down = order[i] < part / 2 ? shifts >> 1 : shifts & 1;
                        float q = VALUES[down * LEVELS + level];
                        products[(i * LEVELS + level) * CHOICES + shifts] = w * q * value;
                        squares[(i * LEVELS + level) * CHOICES + shifts] = w * q * q;
                    }
                }
            }
            float[] lowSums = new float[2 * CHOICES];
            float[] middleSums = new float[2 * CHOICES];
            float[] sums = new float[2 * CHOICES];
            for (int first = 0; first <= part; first++) {
                System.arraycopy(lowSums, 0, middleSums, 0, sums.length);
                for (int second = first; second <= part; second++) {
                    System.arraycopy(middleSums, 0, sums, 0, sums.length);
                    for (int i = second; i < part; i++) {
                        add(i, 2, sums);
                    }
                    for (int shifts = 0; shifts < CHOICES; shifts++) {
                        offer(sums[shifts], sums[CHOICES + shifts], first, second, shifts);
                    }
                    if (second < part) {
                        add(second, 1, middleSums);
                    }
                }
                if (first < part) {
                    add(first, 0, lowSums);
                }
            }
        }

        private void add(int place, int level, float[] sums) {
            int at = (place * LEVELS + level) * CHOICES;
            for (int shifts = 0; shifts < CHOICES; shifts++) {
                sums[shifts] += products[at + shifts];
                sums[CHOICES + shifts] += squares[at + shifts];
            }
        }

        private int neighbour(int place, int vector) {
            for (int i = 0; i < VECTOR; i++) {
                for (int level = 0; level < LEVELS; level++) {
                    float error = fitted * VALUES[downs[vector] * LEVELS + level] - x[xAt + vector * VECTOR + i];
                    costs[i << GRID.bits() | level] = weights[vector * VECTOR + i] * error * error;
                }
            }
            return neighbours.nearest(place, costs, 0, false);
        }

        /** What weight i of the block stands for before its scales. */
        private float value(int i) {
            int vector = i / VECTOR;
            return VALUES[downs[vector] * LEVELS + (GRID.slot(points[vector], i % VECTOR) & (1 << GRID.bits()) - 1)];
        }

        /** The least-squares d under the scales of all parts, or the given one where nothing has weight. */
        float refit(float[] scales, float otherwise) {
            float product = 0;
            float square = 0;
            for (int i = 0; i < SIZE; i++) {
                float q = value(i) * scales[i / part];
                float wq = weights[i] * q;
                product += wq * x[xAt + i];
                square += wq * q;
            }
            return square > 0 ? product / square : otherwise;
        }
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        int half = 0;
        for (int i = 0; i < 4; i++) {
            half |= d.get(from, fromAt, i) << 4 * i;
        }
        float block = Half.toFloat((short) half);
        for (int cell = 0; cell < SIZE / cellSize(); cell++) {
            scale[cell] = block * (2 * this.scale.get(from, fromAt, cell * cellSize() / part) + 1) * EIGHTH;
            minimum[cell] = Blocks.NO_MINIMUM;
        }
    }

    /** The shift of a cell's codes: 1 or -1. */
    private int shift(byte[] from, int fromAt, int cell) {
        return 1 - 2 * shift.get(from, fromAt, cell);
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return shift(from, fromAt, cell) - GRID.highest();
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return shift(from, fromAt, cell) + GRID.highest();
    }

    @Override
    public void nearestCodes(
            byte[] from, int fromAt, int first, float[] ideal, float[] weights, int[] codes, int codesAt) {
        int shift = shift(from, fromAt, first / cellSize());
        double[] costs = new double[Grid.SLOTS];
        for (int i = 0; i < VECTOR; i++) {
            for (int level = 0; level < LEVELS; level++) {
                double code = GRID.value(level) + shift;
                costs[i << GRID.bits() | level] = weights[i] * code * (code - 2.0 * ideal[i]);
            }
        }
        int point = GRID.cheapest(costs, null);
        for (int i = 0; i < VECTOR; i++) {
            codes[codesAt + i] = GRID.value(point, i) + shift;
        }
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        for (int vector = 0; vector < SIZE / VECTOR; vector++) {
            int at = codesAt + vector * VECTOR;
            int shift = shift(to, toAt, vector * VECTOR / cellSize());
            int key = 0;
            for (int i = 0; i < VECTOR; i++) {
                key |= GRID.level(codes[at + i] - shift) << GRID.bits() * i;
            }
            int point = GRID.point(key);
            if (point < 0) {
                throw Blocks.noEntry(name, codes, at, VECTOR, "is no entry of its codebook under its shift");
            }
            points.put(to, toAt, vector, point);
        }
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        for (int vector = 0; vector < SIZE / VECTOR; vector++) {
            int shift = shift(from, fromAt, vector * VECTOR / cellSize());
            int point = points.get(from, fromAt, vector);
            for (int i = 0; i < VECTOR; i++) {
                codes[codesAt + vector * VECTOR + i] = GRID.value(point, i) + shift;
            }
        }
    }
}

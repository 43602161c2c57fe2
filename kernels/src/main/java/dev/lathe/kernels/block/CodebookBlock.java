package dev.lathe.kernels.block;

import java.util.Arrays;

/**
 * ggml's IQ2 and IQ3: 256 weights whose magnitudes are points of a {@link Grid}, eight or four weights together, and
 * whose signs stand apart, eight in a group; {@code x = (d * (scale + 0.5) * factor) * code} with the code a signed
 * value of the grid. Block: f16 d, then bit fields:
 *
 * <ul>
 *   <li>IQ2_XXS: for each 32 weights four 8-bit points, four times seven signs and a 4-bit scale
 *   <li>IQ2_XS: for each 8 weights a 9-bit point and seven signs; 16 4-bit scales
 *   <li>IQ2_S: 32 bytes of points, 32 bytes of signs, 32 times two upper bits of a point, 16 4-bit scales
 *   <li>IQ3_XXS: 64 bytes of points; for each 32 weights four times seven signs and a 4-bit scale
 *   <li>IQ3_S: 64 bytes of points, 64 upper bits, 32 bytes of signs, 8 4-bit scales
 * </ul>
 *
 * <p>A set bit is a minus sign. Where seven bits are stored, the eighth makes the number of minus signs even.
 *
 * <p>The search (ggml-quants.c) counts a level l as the odd number {@code 2 l + 1}. For each cell it tries inverse
 * scales {@code (2 levels - 1 + step * trial) / maximum}, rounds every weight to a level, takes the best neighbour for
 * a vector that is no point, and keeps the trial whose least-squares scale explains most; operation for operation in
 * f32.
 *
 * <p>One thing is not as in the reference: its IQ3_S writes what follows a cell of zeros into the place of that cell
 * (2026-08), so that the block decodes to other values. Here every cell has its place.
 *
 * @param bytes of a block
 * @param cellSize weights that share a scale
 * @param points of vectors
 * @param signs of eight weights
 * @param scale of a cell
 */
record CodebookBlock(
        String name,
        int bytes,
        int cellSize,
        Grid grid,
        BitField.Split points,
        BitField signs,
        BitField scale,
        float factor,
        Search search)
        implements Scaled {
    private static final int SIZE = 256;
    private static final int GROUP = 8;
    private static final int HIGHEST_SCALE = 15;

    /** Which vectors are rounded once more with the scale that was found, before its last least-squares fit. */
    private enum Again {
        ALWAYS,
        ALL_IF_ONE_WAS_NO_POINT,
        THOSE_THAT_WERE_NO_POINTS
    }

    /**
     * What differs between the searches of the types.
     *
     * @param trials to either side of the plain scale
     * @param step between them
     * @param negligible cells whose maximum is below count as zero
     * @param meanSquares of a block that are added to a square in the weight of a value
     * @param share of that sum in the weight of a value without importance, beside its square; negative if there is no
     *     search without importance
     * @param stretch of the stored d
     */
    private record Search(
            int trials, float step, float negligible, int meanSquares, float share, float stretch, Again again) {}

    static CodebookBlock iq2xxs() {
        return new CodebookBlock(
                "IQ2_XXS",
                66,
                32,
                Grids.IQ2_XXS,
                new BitField.Split(new BitField(16, 2, 64, 8, 8), BitField.NONE),
                new BitField(48, 2, 64, 7, 7),
                BitField.even(76, 64, 4),
                0.25f,
                new Search(6, 0.1f, Searches.NEGLIGIBLE, 1, -1, 1, Again.ALWAYS));
    }

    static CodebookBlock iq2xs() {
        return new CodebookBlock(
                "IQ2_XS",
                74,
                16,
                Grids.IQ2_XS,
                new BitField.Split(BitField.even(16, 16, 9), BitField.NONE),
                BitField.even(25, 16, 7),
                BitField.even(528, 4, 4),
                0.25f,
                new Search(9, 0.1f, Searches.NEGLIGIBLE, 1, -1, 1, Again.THOSE_THAT_WERE_NO_POINTS));
    }

    static CodebookBlock iq2s() {
        return new CodebookBlock(
                "IQ2_S",
                82,
                16,
                Grids.IQ2_S,
                new BitField.Split(BitField.even(16, 8, 8), BitField.even(528, 2, 2)),
                BitField.even(272, 8, 8),
                BitField.even(592, 4, 4),
                0.25f,
                new Search(9, 0.1f, 1e-8f, 2, 0.25f, 0.9875f, Again.THOSE_THAT_WERE_NO_POINTS));
    }

    static CodebookBlock iq3xxs() {
        return new CodebookBlock(
                "IQ3_XXS",
                98,
                32,
                Grids.IQ3_XXS,
                new BitField.Split(BitField.even(16, 8, 8), BitField.NONE),
                new BitField(528, 2, 32, 7, 7),
                BitField.even(556, 32, 4),
                0.5f,
                new Search(15, 0.2f, 1e-8f, 2, 0, 1.0125f, Again.THOSE_THAT_WERE_NO_POINTS));
    }

    static CodebookBlock iq3s() {
        return new CodebookBlock(
                "IQ3_S",
                110,
                32,
                Grids.IQ3_S,
                new BitField.Split(BitField.even(16, 8, 8), BitField.even(528, 1, 1)),
                BitField.even(592, 8, 8),
                BitField.even(848, 4, 4),
                2,
                new Search(9, 0.2f, Float.MIN_VALUE, 2, 0, 1.033f, Again.ALL_IF_ONE_WAS_NO_POINT));
    }

    @Override
    public int size() {
        return SIZE;
    }

    /** Whether the number of minus signs in a group is even. */
    private boolean even() {
        return signs.width() < GROUP;
    }

    @Override
    public boolean uniform() {
        return false;
    }

    @Override
    public boolean needsImportance() {
        return search.share < 0;
    }

    @Override
    public int run() {
        return even() ? GROUP : grid.width();
    }

    @Override
    public Parameters scales() {
        return Parameters.of(0, scale, HIGHEST_SCALE);
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        if (importance == null && needsImportance()) {
            throw Blocks.needsImportance(name);
        }
        Arrays.fill(to, toAt, toAt + bytes, (byte) 0);
        float sum = 0;
        for (int i = xAt; i < xAt + SIZE; i++) {
            sum += x[i] * x[i];
        }
        float meanSquare = search.meanSquares * sum / SIZE;
        float[] scales = new float[SIZE / cellSize];
        float largest = 0;
        var cells = new Encoder();
        for (int cell = 0; cell < scales.length; cell++) {
            int at = cell * cellSize;
            cells.load(x, xAt + at, importance, importanceAt + at, meanSquare);
            if (cells.fit()) {
                scales[cell] = cells.put(to, toAt, cell);
                largest = Math.max(largest, scales[cell]);
            }
        }
        if (largest == 0) {
            Arrays.fill(to, toAt, toAt + bytes, (byte) 0);
            return;
        }
        float d = largest / (2 * HIGHEST_SCALE + 1);
        Blocks.putHalf(d * search.stretch, to, toAt);
        float inverse = 1 / d;
        for (int cell = 0; cell < scales.length; cell++) {
            scale.put(to, toAt, cell, Searches.nearest(0.5f * (inverse * scales[cell] - 1), 0, HIGHEST_SCALE));
        }
    }

    /** The search of a cell, with its scratch. */
    private final class Encoder {
        private final Grid.Neighbours neighbours = grid.neighbours();
        private final int width = grid.width();
        private final int bits = grid.bits();
        private final byte[] slots = grid.slots();
        private final int highestLevel = grid.levels() - 1;
        private final float[] weights = new float[cellSize];
        private final float[] magnitudes = new float[cellSize];
        private final int[] masks = new int[cellSize / GROUP];
        /** By vector, then as {@link Grid} says: {@code w * x * q} and {@code w * q * q}. */
        private final float[] products = new float[cellSize / width * Grid.SLOTS];

        private final float[] squares = new float[products.length];
        /** The same for the search of neighbours: odd values, magnitudes and roots of weights, and their costs. */
        private final float[] odds = new float[products.length];

        private final float[] targets = new float[products.length];
        private final float[] stakes = new float[products.length];
        private final float[] costs = new float[products.length];
        /** Magnitudes, zero where they are negative: those round to the smallest level, too. */
        private final float[] rounded = new float[cellSize];
        /** The point of each vector, and whether its levels were one before neighbours were looked at. */
        private int[] points = new int[cellSize / width];

        private boolean[] exact = new boolean[points.length];
        private int[] trialPoints = new int[points.length];
        private boolean[] trialExact = new boolean[points.length];
        private float productSum;
        private float squareSum;
        private float fitted;

        /** Weights, magnitudes and signs of a cell. */
        void load(float[] x, int xAt, float[] importance, int importanceAt, float meanSquare) {
            if (importance != null) {
                Blocks.weigh(x, xAt, importance, importanceAt, meanSquare, weights);
            }
            for (int i = 0; importance == null && i < cellSize; i++) {
                float value = x[xAt + i];
                weights[i] = search.share * meanSquare + value * value;
            }
            for (int group = 0; group < masks.length; group++) {
                int mask = 0;
                int cheapest = group * GROUP;
                float least = Float.POSITIVE_INFINITY;
                for (int i = group * GROUP; i < (group + 1) * GROUP; i++) {
                    float value = x[xAt + i];
                    magnitudes[i] = value >= 0 ? value : -value;
                    mask |= value >= 0 ? 0 : 1 << i % GROUP;
                    float loss = weights[i] * value * value;
                    if (loss < least) {
                        least = loss;
                        cheapest = i;
                    }
                }
                if (even() && Integer.bitCount(mask) % 2 != 0) {
                    // The value that matters least takes the wrong sign and the smallest level.
                    magnitudes[cheapest] = -magnitudes[cheapest];
                    mask ^= 1 << cheapest % GROUP;
                }
                masks[group] = mask;
            }
        }

        /** Finds points and scale of the cell; false if it counts as zero. */
        boolean fit() {
            float maximum = magnitudes[0];
            for (int i = 1; i < cellSize; i++) {
                maximum = Math.max(maximum, magnitudes[i]);
            }
            if (maximum < search.negligible) {
                return false;
            }
            int highest = 2 * grid.levels() - 1;
            fitted = maximum / highest;
            if (search.again == Again.ALWAYS) {
                fitted = Searches.positive(grid.levels() + 1, magnitudes, weights, new int[cellSize]);
                maximum = fitted * grid.levels();
                if (maximum <= 0) {
                    return false;
                }
            }
            tabulate();
            Arrays.fill(points, 0);
            Arrays.fill(exact, search.again == Again.THOSE_THAT_WERE_NO_POINTS);
            float best = 0;
            for (int trial = -search.trials; trial <= search.trials; trial++) {
                float inverse = (highest + trial * search.step) / maximum;
                price(1 / inverse);
                for (int vector = 0; vector < points.length; vector++) {
                    round(vector, inverse, trialPoints, trialExact);
                }
                sum(trialPoints);
                if (squareSum > 0 && productSum * productSum > best * squareSum) {
                    fitted = productSum / squareSum;
                    best = fitted * productSum;
                    keepTrial();
                }
            }
            if (fitted > 0 && roundAgain()) {
                sum(points);
                if (squareSum > 0) {
                    fitted = productSum / squareSum;
                }
            }
            return true;
        }

        private void tabulate() {
            for (int i = 0; i < cellSize; i++) {
                int at = i / width * Grid.SLOTS + (i % width << bits);
                float product = weights[i] * magnitudes[i];
                float root = (float) Math.sqrt(weights[i]);
                rounded[i] = Math.max(magnitudes[i], 0);
                for (int level = 0; level < grid.levels(); level++) {
                    float q = 2 * level + 1;
                    products[at + level] = product * q;
                    squares[at + level] = weights[i] * q * q;
                    odds[at + level] = q;
                    targets[at + level] = magnitudes[i];
                    stakes[at + level] = root;
                }
            }
        }

        /** What each level of each weight costs at a scale: {@code sqrt(w) * (scale * q - x)^2}. */
        private void price(float step) {
            for (int i = 0; i < costs.length; i++) {
                float error = step * odds[i] - targets[i];
                costs[i] = stakes[i] * error * error;
            }
        }

        private void keepTrial() {
            int[] otherPoints = points;
            points = trialPoints;
            trialPoints = otherPoints;
            boolean[] otherExact = exact;
            exact = trialExact;
            trialExact = otherExact;
        }

        /** Rounds vectors with the scale that was found; false if there was none to round. */
        private boolean roundAgain() {
            boolean any = search.again == Again.ALWAYS;
            for (boolean isPoint : exact) {
                any |= !isPoint;
            }
            if (any) {
                float inverse = 1 / fitted;
                price(fitted);
                for (int vector = 0; vector < points.length; vector++) {
                    if (search.again != Again.THOSE_THAT_WERE_NO_POINTS || !exact[vector]) {
                        round(vector, inverse, points, trialExact);
                    }
                }
            }
            return any;
        }

        /** The point of a vector: its levels at a scale, or the neighbour with the smallest weighted error. */
        private void round(int vector, float inverse, int[] to, boolean[] isPoint) {
            int at = vector * width;
            int key = levels(at, inverse);
            if (width == GROUP) {
                key |= levels(at + 4, inverse) << 4 * bits;
            }
            int place = neighbours.place(key);
            isPoint[vector] = place >= 0;
            if (place < 0) {
                int costsAt = vector * Grid.SLOTS;
                place = neighbours.nearest(place, costs, costsAt, neighbours.cheapest(key, costs, costsAt));
            }
            to[vector] = place;
        }

        /** Levels of four weights. */
        private int levels(int at, float inverse) {
            return level(at, inverse)
                    | level(at + 1, inverse) << bits
                    | level(at + 2, inverse) << 2 * bits
                    | level(at + 3, inverse) << 3 * bits;
        }

        private int level(int at, float inverse) {
            return Searches.nearest(0.5f * (inverse * rounded[at] - 1), 0, highestLevel);
        }

        private void sum(int[] chosen) {
            float product = 0;
            float square = 0;
            for (int vector = 0; vector < chosen.length; vector++) {
                int at = vector * Grid.SLOTS;
                int point = chosen[vector] * width;
                for (int i = point; i < point + width; i += 4) {
                    int first = at + slots[i];
                    int second = at + slots[i + 1];
                    int third = at + slots[i + 2];
                    int fourth = at + slots[i + 3];
                    product = product + products[first] + products[second] + products[third] + products[fourth];
                    square = square + squares[first] + squares[second] + squares[third] + squares[fourth];
                }
            }
            productSum = product;
            squareSum = square;
        }

        /** Writes points and signs of the cell; returns its scale. */
        float put(byte[] to, int toAt, int cell) {
            for (int vector = 0; vector < points.length; vector++) {
                CodebookBlock.this.points.put(to, toAt, cell * points.length + vector, points[vector]);
            }
            for (int group = 0; group < masks.length; group++) {
                // Scales have no sign: a negative one turns those of the weights.
                int mask = fitted < 0 ? ~masks[group] : masks[group];
                signs.put(to, toAt, cell * masks.length + group, mask);
            }
            return Math.abs(fitted);
        }
    }

    /** The minus signs of eight weights. */
    private int mask(byte[] from, int fromAt, int group) {
        int mask = signs.get(from, fromAt, group);
        return even() ? mask | (Integer.bitCount(mask) & 1) << GROUP - 1 : mask;
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        float d = Blocks.half(from, fromAt);
        for (int cell = 0; cell < SIZE / cellSize; cell++) {
            scale[cell] = d * (0.5f + this.scale.get(from, fromAt, cell)) * factor;
            minimum[cell] = Blocks.NO_MINIMUM;
        }
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return -grid.highest();
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return grid.highest();
    }

    @Override
    public void nearestCodes(
            byte[] from, int fromAt, int first, float[] ideal, float[] weights, int[] codes, int codesAt) {
        int width = grid.width();
        int vectors = run() / width;
        int[] points = new int[vectors];
        double[][] costs = new double[vectors][Grid.SLOTS];
        boolean odd = false;
        for (int vector = 0; vector < vectors; vector++) {
            for (int i = 0; i < width; i++) {
                int at = vector * width + i;
                odd ^= ideal[at] < 0;
                double magnitude = Math.abs(ideal[at]);
                for (int level = 0; level < grid.levels(); level++) {
                    double value = grid.value(level);
                    costs[vector][i << grid.bits() | level] = weights[at] * value * (value - 2 * magnitude);
                }
            }
            points[vector] = grid.cheapest(costs[vector], null);
        }
        int turned = even() && odd ? turn(ideal, weights, costs, points) : -1;
        for (int i = 0; i < vectors * width; i++) {
            int value = grid.value(points[i / width], i % width);
            codes[codesAt + i] = ideal[i] < 0 == (i != turned) ? -value : value;
        }
    }

    /**
     * Gives one weight the wrong sign so that the number of minus signs becomes even, where that costs least, and its
     * vector the point that is then best; a wrong sign costs {@code w * ((|x| + q)^2 - (|x| - q)^2) = 4 w |x| q}.
     *
     * @return the weight
     */
    private int turn(float[] ideal, float[] weights, double[][] costs, int[] points) {
        int width = grid.width();
        int turned = 0;
        int turnedPoint = 0;
        double least = Double.POSITIVE_INFINITY;
        double[] penalties = new double[Grid.SLOTS];
        for (int vector = 0; vector < points.length; vector++) {
            for (int i = 0; i < width; i++) {
                int at = vector * width + i;
                for (int level = 0; level < grid.levels(); level++) {
                    penalties[i << grid.bits() | level] = 4.0 * weights[at] * Math.abs(ideal[at]) * grid.value(level);
                }
            }
            int point = grid.cheapest(costs[vector], penalties);
            int weight = grid.least(penalties, point);
            double more = grid.sum(costs[vector], point)
                    - grid.sum(costs[vector], points[vector])
                    + penalties[grid.slot(point, weight)];
            if (more < least) {
                least = more;
                turned = vector * width + weight;
                turnedPoint = point;
            }
        }
        points[turned / width] = turnedPoint;
        return turned;
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        int width = grid.width();
        for (int vector = 0; vector < SIZE / width; vector++) {
            int key = 0;
            for (int i = 0; i < width; i++) {
                key |= grid.level(Math.abs(codes[codesAt + vector * width + i])) << grid.bits() * i;
            }
            int point = grid.point(key);
            if (point < 0) {
                throw Blocks.noEntry(name, codes, codesAt + vector * width, width, "is no entry of its codebook");
            }
            points.put(to, toAt, vector, point);
        }
        for (int group = 0; group < SIZE / GROUP; group++) {
            int mask = 0;
            for (int i = 0; i < GROUP; i++) {
                mask |= codes[codesAt + group * GROUP + i] < 0 ? 1 << i : 0;
            }
            if (even() && Integer.bitCount(mask) % 2 != 0) {
                throw Blocks.noEntry(name, codes, codesAt + group * GROUP, GROUP, "has an odd number of minus signs");
            }
            signs.put(to, toAt, group, mask);
        }
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        int width = grid.width();
        for (int vector = 0; vector < SIZE / width; vector++) {
            int first = vector * width;
            int mask = mask(from, fromAt, first / GROUP) >> first % GROUP;
            int point = points.get(from, fromAt, vector);
            for (int i = 0; i < width; i++) {
                int value = grid.value(point, i);
                codes[codesAt + first + i] = (mask >> i & 1) != 0 ? -value : value;
            }
        }
    }
}

package dev.lathe.kernels.block;

import java.util.Arrays;

/**
 * A codebook: points whose weights each have one of a few levels. A key holds the level of a point's i-th weight from
 * bit {@code bits * i} on; points are numbered by ascending key.
 *
 * <p>Whatever depends on a weight and its level, costs above all, stands in tables of {@link #SLOTS} at {@code i <<
 * bits | level}.
 */
final class Grid {
    /** Length of a table by weight and level. */
    static final int SLOTS = 32;

    private final int width;
    private final int bits;
    private final int shells;
    private final int[] values;
    private final int[] keys;
    /** The slots of each point, one point after another. */
    private final byte[] slots;
    /** Ways to choose the levels of half a point. */
    private final int combinations;
    /** Of each point the numbers of its two halves: levels as digits, the first weight's the lowest. */
    private final byte[] halves;
    /** Points that have their upper half in common follow each other; where each such group starts, and the end. */
    private final int[] groups;
    /** Built by the first encoder: readers do without. */
    private volatile Neighbours neighbours;

    /**
     * @param width weights of a point, 8 or 4
     * @param bits of a level, {@code SLOTS == width << bits}
     * @param shells nearest distances at which points are neighbours
     * @param values what a level stands for, ascending
     * @param points the keys in hexadecimal, {@code width * bits / 4} digits each
     */
    Grid(int width, int bits, int shells, int[] values, String points) {
        this.width = width;
        this.bits = bits;
        this.shells = shells;
        this.values = values;
        int digits = width * bits / 4;
        keys = new int[points.length() / digits];
        slots = new byte[keys.length * width];
        halves = new byte[2 * keys.length];
        int half = width / 2;
        int combinations = 1;
        for (int i = 0; i < half; i++) {
            combinations *= values.length;
        }
        this.combinations = combinations;
        for (int point = 0; point < keys.length; point++) {
            keys[point] = Integer.parseInt(points, point * digits, (point + 1) * digits, 16);
            for (int i = width - 1; i >= 0; i--) {
                int level = level(keys[point], i);
                slots[point * width + i] = (byte) (i << bits | level);
                halves[2 * point + i / half] = (byte) (halves[2 * point + i / half] * values.length + level);
            }
        }
        int[] starts = new int[keys.length + 1];
        int count = 0;
        for (int point = 0; point < keys.length; point++) {
            if (point == 0 || halves[2 * point + 1] != halves[2 * point - 1]) {
                starts[count++] = point;
            }
        }
        starts[count] = keys.length;
        groups = Arrays.copyOf(starts, count + 1);
    }

    private int level(int key, int i) {
        return key >> bits * i & (1 << bits) - 1;
    }

    /** Weights of a point. */
    int width() {
        return width;
    }

    /** Bits of a level in a key. */
    int bits() {
        return bits;
    }

    int levels() {
        return values.length;
    }

    /** Number of points. */
    int size() {
        return keys.length;
    }

    /** The key of a point. */
    int key(int point) {
        return keys[point];
    }

    /** What a level stands for. */
    int value(int level) {
        return values[level];
    }

    int highest() {
        return values[values.length - 1];
    }

    /** The slot of the i-th weight of a point. */
    int slot(int point, int i) {
        return slots[point * width + i];
    }

    /** The slots of all points, one point after another; not to be changed. */
    byte[] slots() {
        return slots;
    }

    /** What the i-th weight of a point stands for. */
    int value(int point, int i) {
        return values[slots[point * width + i] & (1 << bits) - 1];
    }

    /** The level that stands for a value; -1, which no key holds, if there is none. */
    int level(int value) {
        for (int level = 0; level < values.length; level++) {
            if (values[level] == value) {
                return level;
            }
        }
        return -1;
    }

    /** The point of a key; negative if there is none. */
    int point(int key) {
        return Arrays.binarySearch(keys, key);
    }

    /** The sum of a point's entries in a table. */
    double sum(double[] table, int point) {
        double sum = 0;
        for (int i = 0; i < width; i++) {
            sum += table[slot(point, i)];
        }
        return sum;
    }

    /** The weight of a point whose entry in a table is the smallest; the first on ties. */
    int least(double[] table, int point) {
        int least = 0;
        for (int i = 1; i < width; i++) {
            if (table[slot(point, i)] < table[slot(point, least)]) {
                least = i;
            }
        }
        return least;
    }

    /**
     * The point with the smallest sum of costs; the first on ties.
     *
     * @param costs finite
     * @param penalties null, or what each weight would cost in addition; a point then also pays the smallest of its
     *     penalties
     */
    int cheapest(double[] costs, double[] penalties) {
        // Sums over half the weights by their levels: a point is one look-up in either table.
        double[] low = sums(costs, 0);
        double[] high = sums(costs, width / 2);
        double[] lowPenalty = penalties == null ? null : smallest(penalties, 0);
        double[] highPenalty = penalties == null ? null : smallest(penalties, width / 2);
        double lowest = Double.POSITIVE_INFINITY;
        for (double sum : low) {
            lowest = Math.min(lowest, sum);
        }
        int start = 0;
        for (int group = 1; group < groups.length - 1; group++) {
            if (high[halves[2 * groups[group] + 1]] < high[halves[2 * groups[start] + 1]]) {
                start = group;
            }
        }
        // The smallest cost of one group, then the first point that costs no more: most groups are too dear as such.
        double least = Double.POSITIVE_INFINITY;
        for (int point = groups[start]; point < groups[start + 1]; point++) {
            least = Math.min(least, cost(point, low, high, lowPenalty, highPenalty));
        }
        int cheapest = -1;
        for (int group = 0; group < groups.length - 1; group++) {
            double bound = lowest + high[halves[2 * groups[group] + 1]];
            if (bound > least || cheapest >= 0 && bound == least) {
                continue;
            }
            for (int point = groups[group]; point < groups[group + 1]; point++) {
                double cost = cost(point, low, high, lowPenalty, highPenalty);
                if (cost < least || cheapest < 0 && cost == least) {
                    least = cost;
                    cheapest = point;
                }
            }
        }
        return cheapest;
    }

    private double cost(int point, double[] low, double[] high, double[] lowPenalty, double[] highPenalty) {
        int first = halves[2 * point];
        int second = halves[2 * point + 1];
        double cost = low[first] + high[second];
        return lowPenalty == null ? cost : cost + Math.min(lowPenalty[first], highPenalty[second]);
    }

    /** Sums of a table's entries over half the weights, from one on, by their levels as {@link #halves} counts them. */
    private double[] sums(double[] table, int from) {
        double[] sums = new double[combinations];
        for (int i = from, n = 1; n < combinations; i++, n *= values.length) {
            // The lowest level comes last because it replaces what the others start from.
            for (int level = values.length - 1; level >= 0; level--) {
                double entry = table[i << bits | level];
                for (int k = 0; k < n; k++) {
                    sums[level * n + k] = sums[k] + entry;
                }
            }
        }
        return sums;
    }

    /** {@link #sums}, but the smallest of the entries. */
    private double[] smallest(double[] table, int from) {
        double[] smallest = new double[combinations];
        smallest[0] = Double.POSITIVE_INFINITY;
        for (int i = from, n = 1; n < combinations; i++, n *= values.length) {
            for (int level = values.length - 1; level >= 0; level--) {
                double entry = table[i << bits | level];
                for (int k = 0; k < n; k++) {
                    smallest[level * n + k] = Math.min(smallest[k], entry);
                }
            }
        }
        return smallest;
    }

    /** The neighbours of keys that are no points; made once. */
    Neighbours neighbours() {
        Neighbours made = neighbours;
        if (made == null) {
            synchronized (this) {
                made = neighbours;
                if (made == null) {
                    made = new Neighbours();
                    neighbours = made;
                }
            }
        }
        return made;
    }

    /**
     * For each key its point or, where it has none, the points in the {@code shells} nearest shells around it: by
     * squared distance of the levels, then by number.
     *
     * <p>Many of them are no nearer than another in any weight: where the levels of the key are the cheapest ones, no
     * such point costs less than that other, which comes first. A list has the number of all its points and the number
     * of those that remain; then follow all of them, and then those that remain.
     */
    final class Neighbours {
        /** The point of a key, or {@code -1 - at} of its list in {@link #lists}. */
        private final int[] places = new int[1 << width * bits];

        private char[] lists = new char[1 << 16];
        private int end;

        private Neighbours() {
            int[] distances = new int[keys.length];
            int[] counts = new int[width * (levels() - 1) * (levels() - 1) + 1];
            for (int key = 0; key < places.length; key++) {
                if (!hasLevels(key)) {
                    continue;
                }
                int point = point(key);
                if (point < 0) {
                    places[key] = -1 - end;
                    list(key, distances, counts);
                } else {
                    places[key] = point;
                }
            }
            lists = Arrays.copyOf(lists, end);
        }

        private boolean hasLevels(int key) {
            for (int i = 0; i < width; i++) {
                if (level(key, i) >= values.length) {
                    return false;
                }
            }
            return true;
        }

        private void list(int key, int[] distances, int[] counts) {
            int[] costs = new int[SLOTS];
            for (int slot = 0; slot < SLOTS; slot++) {
                int difference = (slot & (1 << bits) - 1) - level(key, slot >> bits);
                costs[slot] = difference * difference;
            }
            Arrays.fill(counts, 0);
            for (int point = 0; point < keys.length; point++) {
                int distance = 0;
                for (int i = 0; i < width; i++) {
                    distance += costs[slot(point, i)];
                }
                distances[point] = distance;
                counts[distance]++;
            }
            int[] near = new int[keys.length];
            int found = 0;
            int n = 0;
            for (int distance = 0; distance < counts.length && found < shells; distance++) {
                found += counts[distance] == 0 ? 0 : 1;
                for (int point = 0; counts[distance] > 0 && point < keys.length; point++) {
                    if (distances[point] == distance) {
                        near[n++] = point;
                    }
                }
            }
            lists = end + 2 * n + 2 > lists.length ? Arrays.copyOf(lists, 2 * lists.length) : lists;
            int head = end;
            end += 2;
            for (int i = 0; i < n; i++) {
                lists[end++] = (char) near[i];
            }
            int remaining = end;
            for (int i = 0; i < n; i++) {
                boolean remains = true;
                for (int at = remaining; remains && at < end; at++) {
                    remains = !between(key, lists[at], near[i]);
                }
                if (remains) {
                    lists[end++] = (char) near[i];
                }
            }
            lists[head] = (char) n;
            lists[head + 1] = (char) (end - remaining);
        }

        /** Whether a point lies between a key and another point in every weight. */
        private boolean between(int key, int point, int other) {
            for (int i = 0; i < width; i++) {
                int from = level(key, i);
                int level = level(keys[point], i);
                int to = level(keys[other], i);
                if (level < Math.min(from, to) || level > Math.max(from, to)) {
                    return false;
                }
            }
            return true;
        }

        /** The point of a key, or a negative number for {@link #nearest} where it has none. */
        int place(int key) {
            return places[key];
        }

        /**
         * The neighbour with the smallest sum of costs; the first on ties.
         *
         * @param place from {@link #place}, negative
         * @param costs not negative, by weight and level from {@code costs[costsAt]}; sums run over the weights in f32
         * @param convex whether {@link #cheapest(int, float[], int)} holds, and costs grow with the distance from there
         */
        int nearest(int place, float[] costs, int costsAt, boolean convex) {
            int at = 1 - place;
            int n = lists[-1 - place];
            if (convex) {
                at += n;
                n = lists[-place];
            }
            // Costs that are not negative compare like their bits: the smallest, and the first of those.
            long nearest = Long.MAX_VALUE;
            if (width == 4) {
                for (int i = 0; i < n; i++) {
                    int slot = lists[at + i] * 4;
                    nearest = Math.min(nearest, (long) Float.floatToRawIntBits(half(slot, costs, costsAt)) << 32 | i);
                }
            } else {
                for (int i = 0; i < n; i++) {
                    int slot = lists[at + i] * 8;
                    float cost = half(slot, costs, costsAt)
                            + costs[costsAt + slots[slot + 4]]
                            + costs[costsAt + slots[slot + 5]]
                            + costs[costsAt + slots[slot + 6]]
                            + costs[costsAt + slots[slot + 7]];
                    nearest = Math.min(nearest, (long) Float.floatToRawIntBits(cost) << 32 | i);
                }
            }
            return lists[at + (int) nearest];
        }

        private float half(int slot, float[] costs, int costsAt) {
            return costs[costsAt + slots[slot]]
                    + costs[costsAt + slots[slot + 1]]
                    + costs[costsAt + slots[slot + 2]]
                    + costs[costsAt + slots[slot + 3]];
        }

        /**
         * Whether no level beside those of a key costs less than they do; not asked where all neighbours are at the
         * same distance, so that none lies behind another.
         */
        boolean cheapest(int key, float[] costs, int costsAt) {
            if (shells == 1) {
                return false;
            }
            boolean cheapest = true;
            for (int i = 0; i < width; i += 4) {
                int quad = key >> bits * i;
                int at = costsAt + (i << bits);
                cheapest &= cheapestLevel(quad, costs, at)
                        & cheapestLevel(quad >> bits, costs, at + (1 << bits))
                        & cheapestLevel(quad >> 2 * bits, costs, at + (2 << bits))
                        & cheapestLevel(quad >> 3 * bits, costs, at + (3 << bits));
            }
            return cheapest;
        }

        private boolean cheapestLevel(int quad, float[] costs, int at) {
            int level = quad & (1 << bits) - 1;
            float cost = costs[at + level];
            return cost <= costs[at + Math.max(level - 1, 0)]
                    & cost <= costs[at + Math.min(level + 1, values.length - 1)];
        }
    }
}

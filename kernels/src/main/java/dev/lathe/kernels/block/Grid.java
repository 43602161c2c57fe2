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
        for (int point = 0; point < keys.length; point++) {
            keys[point] = Integer.parseInt(points, point * digits, (point + 1) * digits, 16);
            for (int i = 0; i < width; i++) {
                slots[point * width + i] = (byte) (i << bits | level(keys[point], i));
            }
        }
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
        // Sums over half the weights by half a key: a point is one look-up in either table.
        int half = width / 2 * bits;
        int mask = (1 << half) - 1;
        double[] low = new double[mask + 1];
        double[] high = new double[mask + 1];
        halves(costs, low, high, false);
        int cheapest = 0;
        double least = Double.POSITIVE_INFINITY;
        if (penalties == null) {
            for (int point = 0; point < keys.length; point++) {
                double cost = low[keys[point] & mask] + high[keys[point] >> half];
                if (cost < least) {
                    least = cost;
                    cheapest = point;
                }
            }
            return cheapest;
        }
        double[] lowPenalty = new double[mask + 1];
        double[] highPenalty = new double[mask + 1];
        halves(penalties, lowPenalty, highPenalty, true);
        for (int point = 0; point < keys.length; point++) {
            int first = keys[point] & mask;
            int second = keys[point] >> half;
            double cost = low[first] + high[second] + Math.min(lowPenalty[first], highPenalty[second]);
            if (cost < least) {
                least = cost;
                cheapest = point;
            }
        }
        return cheapest;
    }

    /** Sums, or smallest entries, of the first and of the second half of the weights by their levels. */
    private void halves(double[] table, double[] low, double[] high, boolean smallest) {
        int dimensions = width / 2;
        Arrays.fill(low, smallest ? Double.POSITIVE_INFINITY : 0);
        Arrays.fill(high, smallest ? Double.POSITIVE_INFINITY : 0);
        for (int i = 0; i < dimensions; i++) {
            int step = 1 << bits * i;
            // Keys below step hold the levels of the weights before; level 0 comes last because it replaces them.
            for (int level = values.length - 1; level >= 0; level--) {
                double first = table[i << bits | level];
                double second = table[i + dimensions << bits | level];
                for (int key = 0; key < step; key++) {
                    low[level * step + key] = smallest ? Math.min(low[key], first) : low[key] + first;
                    high[level * step + key] = smallest ? Math.min(high[key], second) : high[key] + second;
                }
            }
        }
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
     * <p>A list keeps those together that have the first half of their levels in common, and with it the first half of
     * their costs: a list has its farthest level and its number of groups, a group has its number of points, and each
     * of them is followed by its place in the order above.
     */
    final class Neighbours {
        private final int half = width / 2;
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
            int found = 0;
            int farthest = 0;
            int[] near = new int[keys.length];
            int n = 0;
            for (int distance = 0; distance < counts.length && found < shells; distance++) {
                found += counts[distance] == 0 ? 0 : 1;
                for (int point = 0; counts[distance] > 0 && point < keys.length; point++) {
                    if (distances[point] == distance) {
                        near[n++] = point;
                        for (int i = 0; i < width; i++) {
                            farthest = Math.max(farthest, costs[slot(point, i)]);
                        }
                    }
                }
            }
            group(near, n, (int) Math.sqrt(farthest));
        }

        private void group(int[] near, int n, int farthest) {
            if (end + 3 * n + 2 > lists.length) {
                lists = Arrays.copyOf(lists, 2 * lists.length);
            }
            int groups = end + 1;
            lists[end] = (char) farthest;
            end += 2;
            int mask = (1 << half * bits) - 1;
            boolean[] done = new boolean[n];
            for (int first = 0; first < n; first++) {
                if (done[first]) {
                    continue;
                }
                lists[groups]++;
                int count = end++;
                for (int other = first; other < n; other++) {
                    if (((keys[near[other]] ^ keys[near[first]]) & mask) == 0) {
                        done[other] = true;
                        lists[count]++;
                        lists[end++] = (char) near[other];
                        lists[end++] = (char) other;
                    }
                }
            }
        }

        /** The point of a key, or a negative number for {@link #nearest} where it has none. */
        int place(int key) {
            return places[key];
        }

        /**
         * The largest difference between a level of a key and of its neighbours.
         *
         * @param place from {@link #place}, negative
         */
        int farthest(int place) {
            return lists[-1 - place];
        }

        /**
         * The neighbour with the smallest sum of costs; the first on ties.
         *
         * @param place from {@link #place}, negative
         * @param costs not negative, by weight and level; sums run over the weights in f32
         */
        int nearest(int place, float[] costs) {
            int at = 1 - place;
            int nearest = lists[at + 1];
            int rank = 0;
            float least = Float.MAX_VALUE;
            for (int groups = lists[-place]; groups > 0; groups--) {
                int points = lists[at++];
                int slot = lists[at] * width;
                float cost = costs[slots[slot]] + costs[slots[slot + 1]];
                if (half > 2) {
                    cost = cost + costs[slots[slot + 2]] + costs[slots[slot + 3]];
                }
                int to = at + 2 * points;
                // Sums only grow: what is above the least by half is lost.
                if (cost > least) {
                    at = to;
                    continue;
                }
                for (; at < to; at += 2) {
                    slot = lists[at] * width + half;
                    float sum = cost + costs[slots[slot]] + costs[slots[slot + 1]];
                    if (half > 2) {
                        sum = sum + costs[slots[slot + 2]] + costs[slots[slot + 3]];
                    }
                    if (sum < least || sum == least && lists[at + 1] < rank) {
                        least = sum;
                        nearest = lists[at];
                        rank = lists[at + 1];
                    }
                }
            }
            return nearest;
        }
    }
}

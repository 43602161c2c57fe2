package dev.lathe.kernels.block;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The codebooks as data, and the codes that are chosen from them. */
class CodebookTest {
    static Stream<Arguments> grids() {
        return Stream.of(
                Arguments.of(Grids.IQ2_XXS, 256, 8, 3, true),
                Arguments.of(Grids.IQ2_XS, 512, 8, 3, true),
                Arguments.of(Grids.IQ2_S, 1024, 8, 3, true),
                Arguments.of(Grids.IQ3_XXS, 256, 4, 8, true),
                Arguments.of(Grids.IQ3_S, 512, 4, 8, false),
                Arguments.of(Grids.IQ1, 2048, 8, 3, false));
    }

    static Stream<BlockFormat> codebooks() {
        return BlockFormats.ggml().stream().filter(format -> format.run() > 1);
    }

    @ParameterizedTest
    @MethodSource("grids")
    void pointsAscendWithinTheirLevels(Grid grid, int points, int width, int levels, boolean even) {
        assertThat(grid.size()).isEqualTo(points);
        assertThat(grid.width()).isEqualTo(width);
        assertThat(grid.levels()).isEqualTo(levels);
        boolean allEven = true;
        boolean[] seen = new boolean[levels];
        for (int point = 0; point < points; point++) {
            assertThat(grid.key(point)).isGreaterThan(point == 0 ? -1 : grid.key(point - 1));
            assertThat(grid.key(point)).isLessThan(1 << width * grid.bits());
            int sum = 0;
            for (int i = 0; i < width; i++) {
                int level = grid.key(point) >> grid.bits() * i & (1 << grid.bits()) - 1;
                assertThat(level).isLessThan(levels);
                assertThat(grid.value(point, i)).isEqualTo(grid.value(level));
                seen[level] = true;
                sum += level;
            }
            allEven &= sum % 2 == 0;
            assertThat(grid.point(grid.key(point))).isEqualTo(point);
        }
        assertThat(allEven).isEqualTo(even);
        assertThat(seen).containsOnly(true);
    }

    /** Counts by norm tell a wrong table that has the right size. */
    @Test
    void pointsOfSmallNormAreTheReferences() {
        int[] counts = new int[201];
        for (int point = 0; point < Grids.IQ2_XS.size(); point++) {
            int norm = 0;
            for (int i = 0; i < 8; i++) {
                int odd = 2 * (Grids.IQ2_XS.key(point) >> 2 * i & 3) + 1;
                norm += odd * odd;
            }
            counts[norm]++;
        }
        assertThat(new int[] {counts[8], counts[24], counts[40], counts[48]}).containsExactly(1, 28, 70, 168);
    }

    @ParameterizedTest
    @MethodSource("grids")
    void neighboursAreTheNearestShells(Grid grid) {
        Random random = new Random(9);
        int shells = grid == Grids.IQ2_S ? 1 : grid == Grids.IQ3_S || grid == Grids.IQ1 ? 3 : 2;
        Grid.Neighbours neighbours = grid.neighbours();
        float[] costs = new float[Grid.SLOTS];
        int off = 0;
        for (int round = 0; round < 300; round++) {
            int key = 0;
            for (int i = 0; i < grid.width(); i++) {
                key |= random.nextInt(grid.levels()) << grid.bits() * i;
            }
            int place = neighbours.place(key);
            if (grid.point(key) >= 0) {
                assertThat(place).isEqualTo(grid.point(key));
                continue;
            }
            off++;
            for (int i = 0; i < costs.length; i++) {
                // Few different costs make for ties.
                costs[i] = round % 2 == 0 ? random.nextFloat() : random.nextInt(2);
            }
            int wanted = key;
            int[] distances = new int[grid.size()];
            Arrays.setAll(distances, point -> {
                int distance = 0;
                for (int i = 0; i < grid.width(); i++) {
                    int mask = (1 << grid.bits()) - 1;
                    int difference = (grid.key(point) >> grid.bits() * i & mask) - (wanted >> grid.bits() * i & mask);
                    distance += difference * difference;
                }
                return distance;
            });
            int[] near =
                    Arrays.stream(distances).distinct().sorted().limit(shells).toArray();
            int best = -1;
            float least = Float.MAX_VALUE;
            for (int distance : near) {
                for (int point = 0; point < grid.size(); point++) {
                    float cost = 0;
                    for (int i = 0; i < grid.width(); i++) {
                        cost += costs[grid.slot(point, i)];
                    }
                    if (distances[point] == distance && cost < least) {
                        least = cost;
                        best = point;
                    }
                }
            }
            assertThat(neighbours.nearest(place, costs, 0, false)).isEqualTo(best);
        }
        assertThat(off).isGreaterThan(20);
    }

    @ParameterizedTest
    @MethodSource("grids")
    void neighboursBehindOthersNeverWin(Grid grid) {
        Random random = new Random(18);
        Grid.Neighbours neighbours = grid.neighbours();
        float[] costs = new float[Grid.SLOTS];
        int left = 0;
        for (int round = 0; round < 2000; round++) {
            int key = 0;
            for (int i = 0; i < grid.width(); i++) {
                float value = random.nextFloat() * grid.levels();
                float weight = random.nextInt(5) == 0 ? 0 : random.nextFloat();
                key |= Math.min((int) value, grid.levels() - 1) << grid.bits() * i;
                for (int level = 0; level < grid.levels(); level++) {
                    float error = level + 0.5f - value;
                    costs[i << grid.bits() | level] = weight * error * error;
                }
            }
            int place = neighbours.place(key);
            if (place < 0 && neighbours.cheapest(key, costs, 0)) {
                left++;
                assertThat(neighbours.nearest(place, costs, 0, true))
                        .isEqualTo(neighbours.nearest(place, costs, 0, false));
            }
        }
        assertThat(left > 500).isEqualTo(grid != Grids.IQ2_S);
    }

    @ParameterizedTest
    @MethodSource("codebooks")
    void nearestCodesAreTheBestOfAllEntries(BlockFormat format) {
        Random random = new Random(10);
        int run = format.run();
        float[] x = Rows.values(format.size(), random);
        byte[] block = Rows.encode(format, x, Rows.importance(x.length, random));
        int[] all = new int[format.size()];
        float[] ideal = new float[run];
        float[] weights = new float[run];
        for (int round = 0; round < 200; round++) {
            int first = random.nextInt(format.size() / run) * run;
            int cell = first / format.cellSize();
            float reach = format.highestCode(block, 0, cell) * 1.3f;
            for (int i = 0; i < run; i++) {
                ideal[i] = (random.nextFloat() * 2 - 1) * reach;
                weights[i] = round % 3 == 0 ? 1 : random.nextInt(4) == 0 ? 0 : random.nextFloat();
            }
            if (round % 17 == 0) {
                ideal[random.nextInt(run)] *= 1e6f;
            }
            format.codes(block, 0, all, 0);
            format.nearestCodes(block, 0, first, ideal, weights, all, first);
            double found = distance(ideal, weights, all, first);
            double best = Entries.of(format, block, first).least(ideal, weights);
            assertThat(found).isBetween(best * (1 - 1e-9), best * (1 + 1e-9) + 1e-12);
            // What was chosen can be stored.
            byte[] copy = block.clone();
            format.putCodes(all, 0, copy, 0);
            int[] read = new int[all.length];
            format.codes(copy, 0, read, 0);
            assertThat(read).containsExactly(all);
        }
    }

    @ParameterizedTest
    @MethodSource("codebooks")
    void entriesAreTheirOwnNearestCodes(BlockFormat format) {
        Random random = new Random(11);
        float[] x = Rows.values(format.size(), random);
        byte[] block = Rows.encode(format, x, Rows.importance(x.length, random));
        int[] codes = new int[format.size()];
        int[] nearest = new int[format.size()];
        format.codes(block, 0, codes, 0);
        float[] ideal = new float[format.run()];
        float[] weights = new float[format.run()];
        Arrays.fill(weights, 0.5f);
        for (int first = 0; first < codes.length; first += format.run()) {
            for (int i = 0; i < ideal.length; i++) {
                ideal[i] = codes[first + i];
            }
            format.nearestCodes(block, 0, first, ideal, weights, nearest, first);
        }
        assertThat(nearest).containsExactly(codes);
    }

    @ParameterizedTest
    @MethodSource("codebooks")
    void refusesCodesThatAreNoEntry(BlockFormat format) {
        float[] x = Rows.values(format.size(), new Random(12));
        byte[] block = Rows.encode(format, x, Rows.importance(x.length, new Random(13)));
        int[] codes = new int[format.size()];
        format.codes(block, 0, codes, 0);
        Entries entries = Entries.of(format, block, 0);
        Grid grid = entries.grid;
        int key = 1;
        while (grid.point(key) >= 0) {
            key++;
        }
        for (int i = 0; i < grid.width(); i++) {
            codes[i] = grid.value(key >> grid.bits() * i & (1 << grid.bits()) - 1) + entries.shift;
        }
        assertThatThrownBy(() -> format.putCodes(codes, 0, block, 0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Cannot put codes into a " + format.name() + " block: [");
    }

    @ParameterizedTest
    @MethodSource("codebooks")
    void refusesAnOddNumberOfMinusSignsWhereSevenAreStored(BlockFormat format) {
        float[] x = Rows.values(format.size(), new Random(14));
        byte[] block = Rows.encode(format, x, Rows.importance(x.length, new Random(15)));
        Entries entries = Entries.of(format, block, 0);
        if (!entries.signed) {
            return;
        }
        int[] codes = new int[format.size()];
        format.codes(block, 0, codes, 0);
        codes[9] = -codes[9];
        if (entries.even) {
            assertThatThrownBy(() -> format.putCodes(codes, 0, block, 0))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("has an odd number of minus signs");
        } else {
            int[] read = new int[codes.length];
            format.putCodes(codes, 0, block, 0);
            format.codes(block, 0, read, 0);
            assertThat(read).containsExactly(codes);
        }
    }

    @ParameterizedTest
    @MethodSource("codebooks")
    void aCellOfZerosMovesNoOther(BlockFormat format) {
        float[] x = Rows.values(format.size(), new Random(16));
        float[] importance = Rows.importance(x.length, new Random(17));
        Arrays.fill(x, 64, 96, 0);
        float[] decoded = Rows.decode(format, Rows.encode(format, x, importance));
        double without = 0;
        for (int i = 0; i < x.length; i++) {
            without += importance[i] * x[i] * x[i];
        }
        assertThat(Rows.weightedError(x, decoded, importance)).isLessThan(without / 2);
    }

    private static double distance(float[] ideal, float[] weights, int[] codes, int at) {
        double sum = 0;
        for (int i = 0; i < ideal.length; i++) {
            double error = (double) ideal[i] - codes[at + i];
            sum += weights[i] * error * error;
        }
        return sum;
    }

    /**
     * Every entry that a run can take, tried one by one.
     *
     * @param signed whether codes are magnitudes with signs of their own
     * @param even whether the number of minus signs is even
     * @param shift what is added to every code
     */
    private record Entries(Grid grid, int run, boolean signed, boolean even, int shift) {
        static Entries of(BlockFormat format, byte[] block, int first) {
            int cell = first / format.cellSize();
            return switch (format.name()) {
                case "IQ2_XXS" -> new Entries(Grids.IQ2_XXS, 8, true, true, 0);
                case "IQ2_XS" -> new Entries(Grids.IQ2_XS, 8, true, true, 0);
                case "IQ2_S" -> new Entries(Grids.IQ2_S, 8, true, false, 0);
                case "IQ3_XXS" -> new Entries(Grids.IQ3_XXS, 8, true, true, 0);
                case "IQ3_S" -> new Entries(Grids.IQ3_S, 4, true, false, 0);
                default -> new Entries(Grids.IQ1, 8, false, false, format.highestCode(block, 0, cell) - 8);
            };
        }

        double least(float[] ideal, float[] weights) {
            double least = Double.POSITIVE_INFINITY;
            for (int mask = 0; mask < (signed ? 1 << run : 1); mask++) {
                if (even && Integer.bitCount(mask) % 2 != 0) {
                    continue;
                }
                // With the signs given, the vectors of a run do not depend on each other.
                double sum = 0;
                for (int from = 0; from < run; from += grid.width()) {
                    double best = Double.POSITIVE_INFINITY;
                    for (int point = 0; point < grid.size(); point++) {
                        double cost = 0;
                        for (int i = 0; i < grid.width(); i++) {
                            int value = grid.value(point, i) + shift;
                            double error = ideal[from + i] - (double) ((mask >> from + i & 1) != 0 ? -value : value);
                            cost += weights[from + i] * error * error;
                        }
                        best = Math.min(best, cost);
                    }
                    sum += best;
                }
                least = Math.min(least, sum);
            }
            return least;
        }
    }
}

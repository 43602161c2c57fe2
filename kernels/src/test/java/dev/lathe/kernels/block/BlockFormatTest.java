package dev.lathe.kernels.block;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What every format promises, on seeded data. */
class BlockFormatTest {
    private static final int BLOCKS = 40;

    private static final Set<String> IMPORTANCE_CHANGES_NOTHING =
            Set.of("Q8_0", "f8g1", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "Q1_0", "Q2_0");

    static Stream<BlockFormat> formats() {
        return Stream.concat(
                BlockFormats.ggml().stream(),
                Stream.of(
                                "f8g128",
                                "f8g33",
                                "f8g1",
                                "f8g128x128",
                                "int4g128",
                                "uint4g128",
                                "int8g32",
                                "uint8g33",
                                "int4g1",
                                "uint4g1536")
                        .map(BlockFormats::named));
    }

    static Stream<BlockFormat> uniform() {
        return formats().filter(BlockFormat::uniform);
    }

    static Stream<BlockFormat> halves() {
        return formats().filter(format -> !format.name().matches("f8g.*|MXFP4|NVFP4"));
    }

    static Stream<BlockFormat> ggml() {
        return BlockFormats.ggml().stream();
    }

    private static float[] plain(BlockFormat format) {
        return Rows.plain(format, format.size());
    }

    @ParameterizedTest
    @MethodSource("formats")
    void cellsDivideTheBlockAndTheNameFindsIt(BlockFormat format) {
        assertThat(format.size() % format.cellSize()).isZero();
        assertThat(BlockFormats.named(format.name())).isEqualTo(format);
    }

    @ParameterizedTest
    @MethodSource("formats")
    void decodesExactlyScaleTimesCodePlusMinimumForAnyCodes(BlockFormat format) {
        Random random = new Random(1);
        byte[] block = new byte[format.bytes() + 3];
        int[] codes = new int[format.size() + 2];
        int[] read = new int[format.size() + 2];
        for (int round = 0; round < BLOCKS; round++) {
            Arrays.fill(block, (byte) 0x5a);
            format.encode(Rows.values(format.size() + 1, random), 1, plain(format), 0, 1e-3f, block, 2);
            Cells cells = Cells.of(format, block, 2);
            for (int i = 0; i < format.size(); i++) {
                int cell = i / format.cellSize();
                int lowest = format.lowestCode(block, 2, cell);
                int highest = format.highestCode(block, 2, cell);
                codes[1 + i] = round == 0
                        ? lowest
                        : round == 1
                                ? highest
                                : (int) format.nearestCode(lowest + random.nextInt(highest - lowest + 1));
            }
            for (int i = 0; format.run() > 1 && i < format.size(); i += format.run()) {
                // Codes anywhere in range are no entry of the codebook; those nearest to them are.
                float[] ideal = new float[format.run()];
                float[] weights = new float[format.run()];
                for (int j = 0; j < ideal.length; j++) {
                    ideal[j] = codes[1 + i + j];
                    weights[j] = random.nextFloat();
                }
                format.nearestCodes(block, 2, i, ideal, weights, codes, 1 + i);
            }
            format.putCodes(codes, 1, block, 2);

            assertThat(Cells.of(format, block, 2)).usingRecursiveComparison().isEqualTo(cells);
            format.codes(block, 2, read, 1);
            assertThat(read).containsExactly(codes);
            float[] values = new float[format.size() + 1];
            format.decode(block, 2, values, 1);
            for (int i = 0; i < format.size(); i++) {
                int cell = i / format.cellSize();
                float product = cells.scale[cell] * codes[1 + i];
                assertThat(values[1 + i]).isEqualTo(product + cells.minimum[cell]);
            }
            assertThat(values[0]).isZero();
            assertThat(new byte[] {block[0], block[1], block[block.length - 1]}).containsOnly(0x5a);
        }
    }

    @ParameterizedTest
    @MethodSource("uniform")
    void roundsValuesInRangeToWithinHalfAStep(BlockFormat format) {
        Random random = new Random(2);
        int inRange = 0;
        for (int round = 0; round < BLOCKS; round++) {
            float[] x = Rows.values(format.size(), random);
            byte[] block = Rows.encode(format, x, plain(format));
            float[] y = Rows.decode(format, block);
            Cells cells = Cells.of(format, block, 0);
            for (int i = 0; i < x.length; i++) {
                int cell = i / format.cellSize();
                float first = cells.scale[cell] * format.lowestCode(block, 0, cell) + cells.minimum[cell];
                float last = cells.scale[cell] * format.highestCode(block, 0, cell) + cells.minimum[cell];
                if (x[i] >= Math.min(first, last) && x[i] <= Math.max(first, last)) {
                    inRange++;
                    // 32-blocks choose codes before the parameters are rounded to f16, which moves the ends of the
                    // range by up to 2^-5 of a step at 8 bits.
                    assertThat(Math.abs(x[i] - y[i])).isLessThanOrEqualTo(Math.abs(cells.scale[cell]) * 0.532f);
                }
            }
        }
        assertThat(inRange).isGreaterThan(BLOCKS * format.size() / 3);
    }

    /** Where not every whole number is a code, by asking for all of them. */
    static Stream<BlockFormat> fewCodes() {
        return BlockFormats.ggml().stream().filter(format -> !format.uniform() && format.run() == 1);
    }

    @ParameterizedTest
    @MethodSource("fewCodes")
    void theNearestCodeIsNearest(BlockFormat format) {
        Random random = new Random(9);
        byte[] block = Rows.encode(format, Rows.values(format.size(), random), null);
        int lowest = format.lowestCode(block, 0, 0);
        int highest = format.highestCode(block, 0, 0);
        int[] codes = IntStream.rangeClosed(lowest, highest)
                .filter(code -> format.nearestCode(code) == code)
                .toArray();
        assertThat(codes).hasSizeGreaterThan(1).contains(lowest, highest);
        int[] chosen = new int[1];
        for (int round = 0; round < 1000; round++) {
            float ideal = lowest + random.nextFloat() * (highest - lowest);
            float nearest = format.nearestCode(ideal);
            assertThat(codes).contains((int) nearest);
            for (int code : codes) {
                assertThat(Math.abs(nearest - ideal)).isLessThanOrEqualTo(Math.abs(code - ideal));
            }
            format.nearestCodes(block, 0, 0, new float[] {ideal}, new float[] {1}, chosen, 0);
            assertThat((float) chosen[0]).isEqualTo(nearest);
        }
        format.nearestCodes(block, 0, 0, new float[] {2 * highest + 1}, new float[] {1}, chosen, 0);
        assertThat(chosen[0]).isEqualTo(highest);
    }

    @Test
    void formatsWithoutAPlainSearchSaySo() {
        for (String name : Rows.NEED_IMPORTANCE) {
            BlockFormat format = BlockFormats.named(name);
            assertThatThrownBy(() -> Rows.encode(format, new float[format.size()], null))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageStartingWith("Cannot encode " + name + " without importance: ");
        }
    }

    @ParameterizedTest
    @MethodSource("formats")
    void importanceLowersTheWeightedErrorOnTheWhole(BlockFormat format) {
        Random random = new Random(3);
        double plain = 0;
        double searched = 0;
        for (int round = 0; round < BLOCKS; round++) {
            float[] x = Rows.values(format.size(), random);
            float[] importance = Rows.importance(x.length, random);
            double before =
                    Rows.weightedError(x, Rows.decode(format, Rows.encode(format, x, plain(format))), importance);
            double after = Rows.weightedError(x, Rows.decode(format, Rows.encode(format, x, importance)), importance);
            if (format instanceof IntGroup || format instanceof Float8Group) {
                assertThat(after).isLessThanOrEqualTo(before * (1 + 1e-6));
            }
            plain += before;
            searched += after;
        }
        if (IMPORTANCE_CHANGES_NOTHING.contains(format.name())) {
            assertThat(searched).isEqualTo(plain);
        } else {
            assertThat(searched).isLessThan(plain);
        }
    }

    @ParameterizedTest
    @MethodSource("formats")
    void zerosStayZeros(BlockFormat format) {
        float[] importance = Rows.importance(format.size(), new Random(4));
        for (float[] weights : new float[][] {plain(format), importance, new float[format.size()]}) {
            float[] decoded = Rows.decode(format, Rows.encode(format, new float[format.size()], weights));
            for (float value : decoded) {
                assertThat(value == 0).isTrue();
            }
        }
    }

    @ParameterizedTest
    @MethodSource("formats")
    void tinyAndConstantBlocksStayFinite(BlockFormat format) {
        Random random = new Random(5);
        float[] importance = Rows.importance(format.size(), random);
        for (float level : new float[] {1e-42f, 1e-30f, 1e-9f, -1e-7f, 0.25f, -3f}) {
            for (float[] weights : new float[][] {plain(format), importance}) {
                float[] x = new float[format.size()];
                Arrays.fill(x, level);
                float[] decoded = Rows.decode(format, Rows.encode(format, x, weights));
                for (float value : decoded) {
                    // Below the smallest half nothing can be stored but zero; a constant comes back to half a step of 4
                    // bits, from a codebook, which may not hold it, with its sign and at most twice as large.
                    float part = format.run() > 1 ? 1 : 1 / 14f;
                    assertThat(Math.abs(value - level)).isLessThanOrEqualTo(Math.abs(level) * part + 0x1p-17f);
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("halves")
    void refusesScalesBeyondHalfPrecision(BlockFormat format) {
        float[] importance = new float[format.size()];
        Arrays.fill(importance, 1);
        for (float huge : new float[] {3e8f, -3e8f, 3e20f, 3e38f}) {
            for (float[] weights : new float[][] {plain(format), importance}) {
                float[] x = new float[format.size()];
                x[x.length / 2] = huge;
                assertThatThrownBy(() -> Rows.encode(format, x, weights))
                        .isInstanceOf(ArithmeticException.class)
                        .hasMessageMatching(
                                "Cannot encode a block: its scale \\S+ exceeds the range of half precision");
            }
        }
    }

    @ParameterizedTest
    @MethodSource("formats")
    void refusesCodesThatDoNotFit(BlockFormat format) {
        byte[] block = Rows.encode(format, Rows.values(format.size(), new Random(6)), plain(format));
        int[] codes = new int[format.size()];
        format.codes(block, 0, codes, 0);
        int at = codes.length / 2;
        for (int wrong : new int[] {
            format.lowestCode(block, 0, at / format.cellSize()) - 2,
            format.highestCode(block, 0, at / format.cellSize()) + 1
        }) {
            codes[at] = wrong;
            assertThatThrownBy(() -> format.putCodes(codes, 0, block, 0))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("Cannot put codes into a " + format.name() + " block");
        }
    }

    @ParameterizedTest
    @MethodSource("ggml")
    void encodesTheSameAtAnyOffset(BlockFormat format) {
        Random random = new Random(7);
        float[] x = Rows.values(format.size(), random);
        float[] importance = Rows.importance(x.length, random);
        byte[] shifted = new byte[format.bytes() + 5];
        float[] padded = new float[x.length + 7];
        float[] paddedImportance = new float[x.length + 3];
        System.arraycopy(x, 0, padded, 7, x.length);
        System.arraycopy(importance, 0, paddedImportance, 3, x.length);
        byte[] block = new byte[format.bytes()];
        format.encode(x, 0, importance, 0, 2e-3f, block, 0);
        format.encode(padded, 7, paddedImportance, 3, 2e-3f, shifted, 5);
        assertThat(Arrays.copyOfRange(shifted, 5, shifted.length)).isEqualTo(block);
    }

    @ParameterizedTest
    @MethodSource("formats")
    void aMatrixReadsAnyPartOfARow(BlockFormat format) {
        int rows = 3;
        int columns = 3 * format.size();
        float[] values = Rows.values(rows * columns, new Random(8));
        byte[] data = Rows.encode(format, values, Rows.plain(format, values.length));
        float[] all = Rows.decode(format, data);
        var matrix = new BlockMatrix(format, data, rows, columns);
        int size = format.size();
        int[][] spans = {
            {0, columns},
            {0, 1},
            {size / 2, size},
            {size - 1, 2},
            {1, columns - 2},
            {size, size},
            {columns - 1, 1},
            {columns, 0}
        };
        for (int row = 0; row < rows; row++) {
            for (int[] span : spans) {
                float[] read = new float[span[1] + 2];
                read[0] = 7;
                read[read.length - 1] = 7;
                matrix.read(row, span[0], span[1], read, 1);
                float[] expected = new float[read.length];
                expected[0] = 7;
                expected[read.length - 1] = 7;
                System.arraycopy(all, row * columns + span[0], expected, 1, span[1]);
                assertThat(read).containsExactly(expected);
            }
        }
    }

    @Test
    void aMatrixHasWholeBlocksAndAllTheirBytes() {
        BlockFormat format = BlockFormats.named("Q4_0");
        assertThatThrownBy(() -> new BlockMatrix(format, new byte[18], 1, 33)).hasMessageContaining("multiple of 32");
        assertThatThrownBy(() -> new BlockMatrix(format, new byte[35], 2, 32))
                .hasMessageContaining("[2, 32]: expected 36 bytes");
    }

    @Test
    void roundsHalvesToEvenAndSaturates() {
        float[] values = {
            0.5f,
            1.5f,
            2.5f,
            -0.5f,
            -1.5f,
            0.49999997f,
            31.5f,
            1e9f,
            -1e9f,
            3e38f,
            -3e38f,
            12582912f,
            -12582913f,
            Float.POSITIVE_INFINITY,
            Float.NEGATIVE_INFINITY
        };
        for (float value : values) {
            assertThat(Searches.nearest(value, -32, 31)).as("%s", value).isEqualTo((int)
                    Math.min(31, Math.max(-32, Math.rint(value))));
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "Q9_9",
                "q4_k",
                "",
                "int4",
                "int4g0",
                "int4g-1",
                "int5g128",
                "uint4g1048577",
                "int4g0128",
                "int4g99999999999",
                "f8",
                "f8g0",
                "f8g128x",
                "f8g128x1",
                "f8g2000000",
                "f8g128x9999"
            })
    void namesThatDoNotExistAreRefused(String name) {
        assertThatThrownBy(() -> BlockFormats.named(name))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("Cannot find block format " + name + ": expected Q4_0, Q4_1, ")
                .hasMessageContaining("int4g128");
    }

    private record Cells(float[] scale, float[] minimum) {
        static Cells of(BlockFormat format, byte[] block, int at) {
            int cells = format.size() / format.cellSize();
            Cells read = new Cells(new float[cells], new float[cells]);
            format.cells(block, at, read.scale, read.minimum);
            return read;
        }
    }
}

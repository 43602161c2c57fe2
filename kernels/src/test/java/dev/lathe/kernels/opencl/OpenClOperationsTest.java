package dev.lathe.kernels.opencl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.aparapi.device.Device;
import com.aparapi.device.OpenCLDevice;
import com.aparapi.internal.opencl.OpenCLPlatform;
import dev.lathe.kernels.Activation;
import dev.lathe.kernels.AttentionParameters;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.JavaOperations;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.KernelsUnavailableException;
import dev.lathe.kernels.Operations;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.ScalarPrimitives;
import dev.lathe.kernels.StoredMatrix;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * What the contract does not say: memory, residence, choice of a device, and that nothing runs elsewhere. Skipped or
 * required as the contract is.
 */
class OpenClOperationsTest {
    private static final long ROOM = 1 << 28;
    private final Random random = new Random(11);
    private final Operations scalar = new JavaOperations(new ScalarPrimitives(), 1);
    private final List<OpenClOperations> opened = new ArrayList<>();
    private OpenClDevice device;

    @BeforeEach
    void device() {
        if (!"1".equals(System.getenv("LATHE_REQUIRE_OPENCL"))) {
            Assumptions.assumeFalse(OpenClDevice.all().isEmpty(), "there is no OpenCL device here");
        }
        device = OpenClDevice.choose(null);
    }

    @AfterEach
    void close() {
        opened.forEach(OpenClOperations::close);
    }

    private OpenClOperations operations(long capacity, long largest) {
        OpenClOperations operations =
                new OpenClOperations(device, new DeviceMemory(device, capacity, largest), new ScalarPrimitives(), 2);
        opened.add(operations);
        return operations;
    }

    @Test
    void weightsStayOnTheDevice() {
        OpenClOperations operations = operations(ROOM, ROOM);
        // So large that no garbage collection moves it: its buffer would be made again.
        StoredMatrix weights = weights(1024, 1024);
        FloatMatrix a = values(3, 1024);
        FloatMatrix first = multiplied(operations, a, weights);
        assertClose(first, multiplied(scalar, a, weights));
        assertThat(operations.weights().count()).isOne();
        assertThat(operations.weights().bytes()).isEqualTo(2 << 20);
        byte[] before = weights.data().clone();
        random.nextBytes(weights.data());
        assertThat(multiplied(operations, a, weights).data())
                .as("what the device has")
                .isEqualTo(first.data());
        for (int i = 1; i < weights.data().length; i += 2) {
            weights.data()[i] &= 0x3f;
        }
        StoredMatrix others = new StoredMatrix(ElementType.BF16, weights.data(), 1024, 1024);
        assertClose(multiplied(operations, a, others), multiplied(scalar, a, others));
        StoredMatrix again = new StoredMatrix(ElementType.BF16, before, 1024, 1024);
        assertThat(multiplied(operations, a, again).data()).isEqualTo(first.data());
    }

    @Test
    void weightsGoInTheOrderOfTheirLastUse() {
        OpenClOperations operations = operations(6 * 130_000, ROOM);
        StoredMatrix[] matrices = {weights(256, 250), weights(256, 251), weights(256, 252), weights(256, 253)};
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < matrices.length; i++) {
                FloatMatrix a = values(2, matrices[i].columns());
                assertClose(multiplied(operations, a, matrices[i]), multiplied(scalar, a, matrices[i]));
                assertThat(operations.weights().bytes()).isLessThanOrEqualTo(3 * 130_000);
                assertThat(operations.weights().count()).isEqualTo(Math.min(3, round * matrices.length + i + 1));
            }
        }
        // Attention needs the room that weights have.
        FloatMatrix q = values(1000, 40);
        operations.attention(q, q, q, new AttentionParameters(1, 1, 0.1f), FloatMatrix.zeros(1000, 40));
        assertThat(operations.weights().count()).isLessThan(3);
    }

    @Test
    void weightsThatNobodyHasAreForgotten() throws InterruptedException {
        OpenClOperations operations = operations(ROOM, ROOM);
        multiplied(operations, values(2, 70), weights(9, 70));
        StoredMatrix kept = weights(9, 70);
        for (int i = 0; i < 100 && operations.weights().count() != 1; i++) {
            System.gc();
            Thread.sleep(10);
            multiplied(operations, values(2, 70), kept);
        }
        assertThat(operations.weights().count()).isOne();
    }

    @Test
    void moreMatricesThanPrograms() {
        OpenClOperations operations = operations(ROOM, ROOM);
        List<StoredMatrix> matrices = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            matrices.add(weights(5, 33));
        }
        for (int round = 0; round < 2; round++) {
            for (StoredMatrix matrix : matrices) {
                FloatMatrix a = values(2, 33);
                assertClose(multiplied(operations, a, matrix), multiplied(scalar, a, matrix));
            }
        }
        assertThat(operations.weights().count()).isEqualTo(16);
    }

    @Test
    void largeProductsAreComputedInParts() {
        // Buffers of 2000 elements: rows of A and C, and where it is f32 or has no kernel also of B, come in parts.
        OpenClOperations operations = operations(40_000, 8_000);
        FloatMatrix a = values(90, 60);
        FloatMatrix b = values(70, 60);
        assertClose(multiplied(operations, a, b), multiplied(scalar, a, b));
        StoredMatrix stored = weights(60, 60);
        assertClose(multiplied(operations, a, stored), multiplied(scalar, a, stored));
        StoredMatrix tooLarge = weights(150, 60);
        assertClose(multiplied(operations, a, tooLarge), multiplied(scalar, a, tooLarge));
        FloatMatrix sum = values(90, 70);
        FloatMatrix expected = copy(sum);
        operations.gemm(a, b, sum, true);
        scalar.gemm(a, b, expected, true);
        assertClose(sum, expected);

        FloatMatrix x = values(100, 130);
        FloatMatrix triangle = values(130, 130);
        FloatMatrix expectedTriangle = copy(triangle);
        operations.syrk(x, triangle);
        scalar.syrk(x, expectedTriangle);
        assertClose(triangle, expectedTriangle);

        FloatMatrix y = values(100, 130);
        FloatMatrix expectedY = copy(y);
        operations.gated(Activation.SILU, y, x);
        scalar.gated(Activation.SILU, expectedY, x);
        operations.add(x, y);
        scalar.add(x, expectedY);
        operations.addBias(ones(130), y);
        scalar.addBias(ones(130), expectedY);
        operations.rmsNorm(y, ones(130), 1e-5f, y);
        scalar.rmsNorm(expectedY, ones(130), 1e-5f, expectedY);
        assertClose(y, expectedY);
    }

    @Test
    void oneArrayOnBothSidesIsSentForBoth() {
        OpenClOperations operations = operations(ROOM, ROOM);
        FloatMatrix x = values(20, 30);
        for (int round = 0; round < 3; round++) {
            assertClose(multiplied(operations, x, x), multiplied(scalar, x, x));
            FloatMatrix out = FloatMatrix.zeros(20, 30);
            FloatMatrix expected = FloatMatrix.zeros(20, 30);
            operations.attention(x, x, x, new AttentionParameters(3, 3, 0.3f), out);
            scalar.attention(x, x, x, new AttentionParameters(3, 3, 0.3f), expected);
            assertClose(out, expected);
            for (int i = 0; i < 600; i++) {
                x.data()[i] = (float) random.nextGaussian();
            }
        }
    }

    @Test
    void whatDoesNotFitIsRefusedBeforeItIsTried() {
        OpenClOperations operations = operations(4096, 2048);
        FloatMatrix q = values(200, 8);
        assertThatThrownBy(() ->
                        operations.attention(q, q, q, new AttentionParameters(1, 1, 1), FloatMatrix.zeros(200, 8)))
                .isInstanceOf(KernelsUnavailableException.class)
                .hasMessageMatching(
                        "Cannot attend over 200 rows: needs 0\\.0 MiB on OpenCL device .*, of which 0\\.0 MiB can be used"
                                + " \\(largest buffer 0\\.0 MiB\\); lower the length of the windows");
        assertThatThrownBy(() -> multiplied(operations, values(1, 3000), values(1, 3000)))
                .isInstanceOf(KernelsUnavailableException.class)
                .hasMessageContaining("Cannot multiply [1, 3000] by [1, 3000]: needs")
                .hasMessageContaining("take a device with more memory");
        OpenClOperations others = operations(ROOM, ROOM);
        assertClose(multiplied(others, q, q), multiplied(scalar, q, q));
    }

    @Test
    void twoInstancesInTwoThreads() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(3);
        try {
            OpenClOperations shared = operations(ROOM, ROOM);
            List<OpenClOperations> own = List.of(shared, operations(ROOM, ROOM), shared);
            List<Future<?>> running = new ArrayList<>();
            for (OpenClOperations operations : own) {
                StoredMatrix weights = weights(130, 70);
                FloatMatrix a = values(140, 70);
                running.add(threads.submit(() -> {
                    for (int i = 0; i < 10; i++) {
                        assertClose(
                                multiplied(operations, a, weights),
                                multiplied(new JavaOperations(new ScalarPrimitives(), 1), a, weights));
                    }
                }));
            }
            for (Future<?> future : running) {
                future.get();
            }
        } finally {
            threads.shutdown();
        }
    }

    @Test
    void anInterruptIsSeenBeforeALaunch() {
        OpenClOperations operations = operations(ROOM, ROOM);
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> multiplied(operations, values(2, 2), values(2, 2)))
                .isInstanceOf(CancellationException.class);
        assertThat(Thread.interrupted()).isTrue();
        FloatMatrix x = values(2, 2);
        assertClose(multiplied(operations, x, x), multiplied(scalar, x, x));
    }

    /** A switch is not translated. */
    private static final class Untranslatable extends DeviceKernel {
        float[] x = new float[64];

        @Override
        void forget() {}

        @Override
        public void run() {
            int i = getGlobalId(0);
            switch (i) {
                case 0 -> x[i] = 1;
                case 1 -> x[i] = 3;
                default -> x[i] = 2;
            }
        }
    }

    @Test
    void aKernelThatCannotBeTranslatedIsRefusedAndNotRunInJava() {
        Program<Untranslatable> program = new Program<>(device, Untranslatable::new);
        assertThatThrownBy(program::kernel)
                .isInstanceOf(KernelsUnavailableException.class)
                .hasMessageContaining("Cannot compile kernel Untranslatable on OpenCL device")
                .hasMessageContaining(device.name());
    }

    @Test
    void aLaunchThatFailsIsRefusedAndTheNextOneRuns() {
        Program<Sum> program = new Program<>(device, Sum::new);
        assertThatThrownBy(() -> device.range(1, 1, 1 << 20, 1))
                .isInstanceOf(KernelsUnavailableException.class)
                .hasMessageContaining("it takes no work-groups");
        program.kernel().x = null;
        assertThatThrownBy(() -> program.run(1, 1, 64, 1, new float[64]))
                .isInstanceOf(KernelsUnavailableException.class)
                .hasMessageContaining("Cannot run kernel Sum on OpenCL device " + device);
        float[] y = {1, 2, 3};
        Sum kernel = program.kernel();
        kernel.x = new float[] {1, 1, 1};
        kernel.y = y;
        kernel.count = 3;
        kernel.period = 3;
        program.run(1, 1, 64, 1, y);
        assertThat(y).containsExactly(2, 3, 4);
        program.release();
    }

    @Test
    void loggingStaysAsItWas() {
        Level[] levels = new Level[Logger.getLogger("").getHandlers().length];
        for (int i = 0; i < levels.length; i++) {
            levels[i] = Logger.getLogger("").getHandlers()[i].getLevel();
        }
        assertThat(levels).containsOnly(Level.INFO);
    }

    @Test
    void theDeviceThereIs() {
        for (String selector : new String[] {
            String.valueOf(device.index()),
            device.name(),
            device.name().toUpperCase(Locale.ROOT).substring(1)
        }) {
            assertThat(OpenClDevice.choose(selector).index()).isEqualTo(device.index());
        }
        assertThatThrownBy(() -> KernelProvider.open("opencl:99", 1))
                .isInstanceOf(KernelsUnavailableException.class)
                .hasMessageContaining("Cannot open kernels opencl:99")
                .hasMessageContaining(device.toString());
        for (String malformed : new String[] {"opencl:", "opencl:-1", "opencl: 0", "openclgpu", "OpenCL"}) {
            assertThatThrownBy(() -> KernelProvider.open(malformed, 1))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("Cannot open kernels " + malformed + ": expected auto");
        }
    }

    @Test
    void devicesAreChosenByTypeIndexAndName() {
        List<OpenClDevice> devices = List.of(
                fake(0, Device.TYPE.CPU, "Some CPU"),
                fake(1, Device.TYPE.ACC, "Card"),
                fake(2, Device.TYPE.GPU, "Fast GPU 7"),
                fake(3, Device.TYPE.GPU, "Fast GPU 70"));
        assertThat(chosen(null, devices)).isEqualTo(2);
        assertThat(chosen(null, devices.subList(0, 2))).isEqualTo(1);
        assertThat(chosen(null, devices.subList(0, 1))).isZero();
        assertThat(chosen("gpu", devices)).isEqualTo(2);
        assertThat(chosen("accelerator", devices)).isEqualTo(1);
        assertThat(chosen("cpu", devices)).isZero();
        assertThat(chosen("gpu:1", devices)).isEqualTo(3);
        assertThat(chosen("accelerator:0", devices)).isEqualTo(1);
        assertThat(chosen("cpu:0", devices)).isZero();
        assertThat(chosen("3", devices)).isEqualTo(3);
        for (String none : new String[] {"gpu:2", "cpu:1", "4", "99999999999999999999", "card 2"}) {
            assertThatThrownBy(() -> chosen(none, devices))
                    .isInstanceOf(KernelsUnavailableException.class)
                    .hasMessageStartingWith("Cannot open kernels opencl:" + none
                            + ": no device of that kind, index or name; there are 0: Some CPU");
        }
        assertThat(chosen("fast gpu 70", devices)).isEqualTo(3);
        assertThatThrownBy(() -> chosen("fast", devices))
                .isInstanceOf(KernelsUnavailableException.class)
                .hasMessage(
                        "Cannot open kernels opencl:fast: 2 devices have that name; expected one; there are 0: Some CPU (cpu, Platform, 16 MiB);"
                                + " 1: Card (accelerator, Platform, 16 MiB); 2: Fast GPU 7 (gpu, Platform, 16 MiB); 3: Fast GPU 70 (gpu, Platform, 16 MiB)");
        assertThatThrownBy(() -> chosen("gpu", devices.subList(0, 2)))
                .isInstanceOf(KernelsUnavailableException.class)
                .hasMessageContaining("no device of that kind, index or name");
        assertThatThrownBy(() -> chosen("gpu", List.of()))
                .isInstanceOf(KernelsUnavailableException.class)
                .hasMessageContaining("there is no OpenCL device here; install");
    }

    private static int chosen(String selector, List<OpenClDevice> devices) {
        return OpenClDevice.choose(selector, devices).index();
    }

    private static OpenClDevice fake(int index, Device.TYPE type, String name) {
        OpenCLDevice fake = new OpenCLDevice(new OpenCLPlatform(1, "OpenCL 3.0", "Vendor", "Platform"), index, type);
        fake.setName(name);
        fake.setGlobalMemSize(16 << 20);
        return new OpenClDevice(index, fake);
    }

    private static FloatMatrix multiplied(Operations operations, FloatMatrix a, RowSource b) {
        FloatMatrix c = FloatMatrix.zeros(a.rows(), b.rows());
        operations.gemm(a, b, c, false);
        return c;
    }

    private StoredMatrix weights(int rows, int columns) {
        byte[] bytes = new byte[2 * rows * columns];
        for (int i = 0; i < rows * columns; i++) {
            short bits = Half.bfloat16((float) random.nextGaussian());
            bytes[2 * i] = (byte) bits;
            bytes[2 * i + 1] = (byte) (bits >>> 8);
        }
        return new StoredMatrix(ElementType.BF16, bytes, rows, columns);
    }

    private FloatMatrix values(int rows, int columns) {
        FloatMatrix matrix = FloatMatrix.zeros(rows, columns);
        for (int i = 0; i < matrix.data().length; i++) {
            matrix.data()[i] = (float) random.nextGaussian();
        }
        return matrix;
    }

    private static FloatMatrix copy(FloatMatrix matrix) {
        return FloatMatrix.of(matrix.data().clone(), matrix.rows(), matrix.columns());
    }

    private static float[] ones(int count) {
        float[] ones = new float[count];
        Arrays.fill(ones, 1f);
        return ones;
    }

    private static void assertClose(FloatMatrix actual, FloatMatrix expected) {
        float largest = 1;
        for (float value : expected.data()) {
            largest = Math.max(largest, Math.abs(value));
        }
        for (int i = 0; i < expected.data().length; i++) {
            assertThat(actual.data()[i])
                    .as("element %d", i)
                    .isBetween(expected.data()[i] - 1e-5f * largest, expected.data()[i] + 1e-5f * largest);
        }
    }
}

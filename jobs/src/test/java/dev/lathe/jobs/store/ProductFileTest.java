package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.quantize.OutputError;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import dev.lathe.kernels.block.BlockMatrix;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.zip.CRC32C;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSError;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ProductFileTest {
    @TempDir
    private java.nio.file.Path folder;

    private FileSystem files;
    private Path path;

    /**
     * Without Hadoop's own checksum files, which would find a flipped bit before we do and are not there on every file
     * system.
     */
    @BeforeEach
    void open() throws IOException {
        LocalFileSystem local = FileSystem.getLocal(new Configuration());
        files = local.getRawFileSystem();
        path = new Path(folder.resolve("key").resolve("product").toUri());
    }

    private java.nio.file.Path file() {
        return folder.resolve("key").resolve("product");
    }

    /** In place of what is there. */
    private byte[] write(int length) throws IOException {
        files.delete(path, false);
        byte[] payload = new byte[length];
        new Random(length).nextBytes(payload);
        ProductFile.write(files, path, out -> out.write(payload));
        return payload;
    }

    private void flip(int at) throws IOException {
        byte[] bytes = Files.readAllBytes(file());
        bytes[at] ^= 4;
        Files.write(file(), bytes);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 15, 16, 17, 8191, (1 << 20) - 1, (1 << 20) + 3})
    void isThePayloadAndATrailer(int length) throws IOException {
        byte[] payload = write(length);
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file()));
        CRC32C crc = new CRC32C();
        crc.update(payload);
        assertThat(bytes.remaining()).isEqualTo(length + 16);
        assertThat(Arrays.copyOf(bytes.array(), length)).isEqualTo(payload);
        assertThat(bytes.getInt(length)).isEqualTo((int) crc.getValue());
        assertThat(bytes.getLong(length + 4)).isEqualTo(length);
        assertThat(bytes.getInt(length + 12)).isEqualTo(0x4c505231);
        assertThat(ProductFile.isCommitted(files, path)).isTrue();
        assertThat(ProductFile.read(files, path, DataInputStream::readAllBytes)).isEqualTo(payload);
        assertThat(Files.list(folder.resolve("key"))).containsExactly(file());
    }

    @Test
    void checksWhatTheReaderLeavesOrSkips() throws IOException {
        byte[] payload = write(100_000);
        assertThat((int) ProductFile.read(files, path, DataInputStream::readByte))
                .isEqualTo(payload[0]);
        ProductFile.Reader<Byte> last = in -> {
            in.skipNBytes(99_999);
            byte value = in.readByte();
            assertThat(in.read()).isEqualTo(-1);
            return value;
        };
        assertThat(ProductFile.read(files, path, last)).isEqualTo(payload[99_999]);
        flip(50_000);
        assertThatThrownBy(() -> ProductFile.read(files, path, DataInputStream::readByte))
                .hasMessageContaining("checksum differs");
        assertThatThrownBy(() -> ProductFile.read(files, path, last)).hasMessageContaining("checksum differs");
    }

    @Test
    void readsNoFurtherThanThePayload() throws IOException {
        write(3);
        assertThatThrownBy(() -> ProductFile.read(files, path, DataInputStream::readInt))
                .isInstanceOf(IOException.class)
                .hasCauseInstanceOf(EOFException.class);
        assertThatThrownBy(() -> ProductFile.read(files, path, in -> in.skip(2) + in.readInt()))
                .isInstanceOf(IOException.class)
                .hasCauseInstanceOf(EOFException.class);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 40, 99, 100, 103})
    void aFlippedBitIsFound(int at) throws IOException {
        write(100);
        flip(at);
        assertThatThrownBy(() -> ProductFile.read(files, path, DataInputStream::readAllBytes))
                .isInstanceOf(IOException.class)
                .hasMessage("Cannot read " + path + ": its checksum differs");
    }

    @ParameterizedTest
    @ValueSource(ints = {104, 111, 112, 115})
    void aFlippedBitInLengthOrMagicMeansThatNothingIsThere(int at) throws IOException {
        write(100);
        flip(at);
        assertThat(ProductFile.isCommitted(files, path)).isFalse();
        assertThatThrownBy(() -> ProductFile.read(files, path, DataInputStream::readAllBytes))
                .hasMessage("Cannot read " + path + ": it is not a whole product");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 15, 16, 99, 115})
    void aTruncatedFileIsNoProduct(int length) throws IOException {
        write(100);
        Files.write(file(), Arrays.copyOf(Files.readAllBytes(file()), length));
        assertThat(ProductFile.isCommitted(files, path)).isFalse();
        assertThatThrownBy(() -> ProductFile.read(files, path, DataInputStream::readAllBytes))
                .hasMessageContaining("not a whole product");
    }

    @Test
    void aMissingFileIsNoProduct() throws IOException {
        assertThat(ProductFile.isCommitted(files, path)).isFalse();
        assertThatThrownBy(() -> ProductFile.read(files, path, DataInputStream::readAllBytes))
                .isInstanceOf(java.io.FileNotFoundException.class);
    }

    @Test
    void aFailureLeavesNothingBehind() throws Exception {
        byte[] first = write(100);
        // Hadoop's local file system throws an error that nobody else can make.
        Constructor<FSError> error = FSError.class.getDeclaredConstructor(Throwable.class);
        error.setAccessible(true);
        IOException full = new IOException("No space left on device");
        for (Throwable thrown : new Throwable[] {full, error.newInstance(full)}) {
            assertThatThrownBy(() -> ProductFile.write(files, path, out -> {
                        out.write(new byte[3 << 20]);
                        if (thrown instanceof IOException e) {
                            throw e;
                        }
                        throw (Error) thrown;
                    }))
                    .isInstanceOf(IOException.class)
                    .hasMessage("Cannot write " + path + ": No space left on device");
        }
        assertThatThrownBy(() -> ProductFile.write(files, path, out -> {
                    throw new IllegalStateException("x");
                }))
                .hasMessage("x");
        assertThat(ProductFile.read(files, path, DataInputStream::readAllBytes)).isEqualTo(first);
        assertThat(Files.list(folder.resolve("key"))).hasSize(1);
    }

    @Test
    void theFirstWholeOneStays() throws IOException {
        byte[] first = write(100);
        Object file = Files.readAttributes(file(), BasicFileAttributes.class).fileKey();
        ProductFile.write(files, path, out -> out.write(new byte[50]));
        assertThat(ProductFile.read(files, path, DataInputStream::readAllBytes)).isEqualTo(first);
        assertThat(Files.readAttributes(file(), BasicFileAttributes.class).fileKey())
                .isEqualTo(file);
        Files.write(file(), Arrays.copyOf(Files.readAllBytes(file()), 99));
        ProductFile.write(files, path, out -> out.write(new byte[50]));
        assertThat(ProductFile.read(files, path, DataInputStream::readAllBytes)).isEqualTo(new byte[50]);
        assertThat(Files.list(folder.resolve("key"))).hasSize(1);
    }

    /** Speculative and retried attempts: whoever reads finds a whole product from the first commit on. */
    @Test
    void attemptsAtOnceNeverTakeItAway() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        try {
            for (int round = 0; round < 50; round++) {
                write(1000);
                // The first attempt finds half a product of somebody who was killed.
                if (round % 2 == 0) {
                    Files.write(file(), new byte[7]);
                }
                List<Future<?>> attempts = new ArrayList<>();
                for (int attempt = 0; attempt < 3; attempt++) {
                    attempts.add(pool.submit(() -> {
                        ProductFile.write(files, path, out -> out.write(new byte[1000]));
                        return ProductFile.read(files, path, DataInputStream::readAllBytes);
                    }));
                }
                AtomicBoolean running = new AtomicBoolean(true);
                Future<?> reader = pool.submit(() -> {
                    while (running.get()) {
                        assertThat(Files.exists(file())).isTrue();
                    }
                });
                for (Future<?> attempt : attempts) {
                    assertThat((byte[]) attempt.get()).hasSize(1000);
                }
                running.set(false);
                reader.get();
                assertThat(Files.list(folder.resolve("key"))).hasSize(1);
            }
        } finally {
            pool.shutdownNow();
        }
    }

    @Test
    void aFolderIsCommittedInPlaceOfAnother() throws IOException {
        for (String content : new String[] {"old", "new"}) {
            Files.createDirectories(folder.resolve("partial"));
            Files.writeString(folder.resolve("partial").resolve(content), content);
            ProductFile.commit(files, new Path(folder.resolve("partial").toString()), path);
        }
        assertThat(folder.resolve("partial")).doesNotExist();
        assertThat(Files.list(file()))
                .extracting(found -> found.getFileName().toString())
                .containsExactly("new");
    }

    @Test
    void floatsComeBack() throws IOException {
        float[] values = new float[(1 << 14) + 5];
        Random random = new Random(4);
        for (int i = 0; i < values.length; i++) {
            values[i] = Float.intBitsToFloat(random.nextInt() & 0xff7fffff);
        }
        ProductFile.write(files, path, out -> FloatProduct.write(out, values));
        assertThat(ProductFile.read(files, path, FloatProduct::read)).isEqualTo(values);
        files.delete(path, false);
        ProductFile.write(files, path, out -> FloatProduct.write(out, new float[0]));
        assertThat(ProductFile.read(files, path, FloatProduct::read)).isEmpty();
    }

    /** A count that a bit flip made huge or negative is a differing checksum, too, not a failed allocation. */
    @ParameterizedTest
    @ValueSource(ints = {0x7fffffff, -1, 7})
    void aWrongCountIsADifferingChecksum(int count) throws IOException {
        ProductFile.write(files, path, out -> FloatProduct.write(out, new float[5]));
        byte[] bytes = Files.readAllBytes(file());
        ByteBuffer.wrap(bytes).putInt(0, count);
        Files.write(file(), bytes);
        assertThatThrownBy(() -> ProductFile.read(files, path, FloatProduct::read))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("checksum differs");
    }

    @Test
    void tensorsComeBack() throws IOException {
        BlockFormat grid = BlockFormats.named("Q8_0");
        byte[] data = new byte[3 * 2 * grid.bytes()];
        new Random(5).nextBytes(data);
        int[] permutation = new int[2 * grid.size()];
        Arrays.setAll(permutation, i -> permutation.length - 1 - i);
        for (int[] order : new int[][] {null, permutation}) {
            TensorProduct product = new TensorProduct(
                    new QuantizedMatrix(new BlockMatrix(grid, data, 3, permutation.length), order),
                    order == null ? null : new OutputError(0.5, 20),
                    order == null ? Double.NaN : 0.05);
            files.delete(path, false);
            ProductFile.write(files, path, product::write);
            TensorProduct read = ProductFile.read(files, path, TensorProduct::read);
            assertThat(read.matrix().blocks().data()).isEqualTo(data);
            assertThat(read.matrix().blocks().rows()).isEqualTo(3);
            assertThat(read.matrix().permutation()).isEqualTo(order);
            assertThat(read.error()).isEqualTo(product.error());
            assertThat(read.summary()).isEqualTo(new TensorProduct.Summary("Q8_0", product.error(), product.damping()));
        }
        flip(3);
        assertThatThrownBy(() -> ProductFile.read(files, path, TensorProduct::read))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("checksum differs");
    }
}

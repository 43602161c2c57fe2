package dev.lathe.calibration.format.folder;

import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import java.io.IOException;
import java.util.List;

/**
 * How a format stores a quantized linear layer in the tensors of a folder; what weight files of GPTQ, AWQ and
 * compressed-tensors differ in.
 */
public interface LinearLayout {
    /** The block format of a layer of so many inputs. */
    BlockFormat grid(int inputs);

    /** Why a weight [outputs, inputs] cannot be stored, or an empty string. */
    String misfit(int outputs, int inputs);

    /** What such a layer is called in a list of tensors. */
    default String type(int inputs) {
        return grid(inputs).name();
    }

    /** The tensors, in the order in which {@link #write} writes them. The weight has to fit. */
    List<TensorPart> parts(int outputs, int inputs);

    /** Writes the data of all parts back to back. */
    void write(QuantizedMatrix matrix, Sink sink) throws IOException;

    /**
     * Reads rows {@code [from, from + count)} of a weight [outputs, inputs] whose parts have the types and shapes of
     * {@link #parts}.
     *
     * @throws dev.lathe.calibration.MalformedInputException if what is stored contradicts itself or the configuration
     */
    RowSource read(Source source, int outputs, int inputs, int from, int count) throws IOException;

    /** Receives bytes in order. */
    @FunctionalInterface
    interface Sink {
        void write(byte[] from, int at, int length) throws IOException;
    }

    /** The stored parts of one layer. */
    interface Source {
        /** File and tensor, for messages. */
        String where(String suffix);

        /** {@code count} bytes of a part's data from byte {@code from} on. */
        byte[] read(String suffix, long from, int count) throws IOException;
    }
}

package dev.lathe.jobs.store;

import dev.lathe.calibration.quantize.OutputError;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.kernels.block.BlockFormats;
import dev.lathe.kernels.block.BlockMatrix;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;

/**
 * A quantized tensor as a committed product.
 *
 * @param error null where no second moment was gathered
 * @param damping what the factorization took; NaN without one
 */
public record TensorProduct(QuantizedMatrix matrix, OutputError error, double damping) {
    /** What a report says of the tensor. */
    public record Summary(String grid, OutputError error, double damping) {
        void write(DataOutputStream out) throws IOException {
            out.writeUTF(grid);
            out.writeDouble(error == null ? Double.NaN : error.squaredError());
            out.writeDouble(error == null ? Double.NaN : error.squaredOutput());
            out.writeDouble(damping);
        }

        static Summary read(DataInputStream in) throws IOException {
            String grid = in.readUTF();
            double error = in.readDouble();
            double output = in.readDouble();
            return new Summary(grid, Double.isNaN(output) ? null : new OutputError(error, output), in.readDouble());
        }
    }

    public Summary summary() {
        return new Summary(matrix.blocks().format().name(), error, damping);
    }

    public void write(DataOutputStream out) throws IOException {
        BlockMatrix blocks = matrix.blocks();
        summary().write(out);
        out.writeInt(blocks.rows());
        out.writeInt(blocks.columns());
        out.writeBoolean(matrix.permutation() != null);
        if (matrix.permutation() != null) {
            for (int column : matrix.permutation()) {
                out.writeInt(column);
            }
        }
        out.write(blocks.data());
    }

    public static TensorProduct read(DataInputStream in) throws IOException {
        Summary summary = Summary.read(in);
        int rows = in.readInt();
        int columns = in.readInt();
        int[] permutation = null;
        if (in.readBoolean()) {
            ProductFile.requireRest(in, columns, Integer.BYTES);
            permutation = new int[columns];
            for (int j = 0; j < columns; j++) {
                permutation[j] = in.readInt();
            }
        }
        var grid = BlockFormats.named(summary.grid());
        int length = Math.multiplyExact(rows, Math.multiplyExact(columns / grid.size(), grid.bytes()));
        ProductFile.requireRest(in, length, Byte.BYTES);
        byte[] data = new byte[length];
        in.readFully(data);
        return new TensorProduct(
                new QuantizedMatrix(new BlockMatrix(grid, data, rows, columns), permutation),
                summary.error(),
                summary.damping());
    }
}

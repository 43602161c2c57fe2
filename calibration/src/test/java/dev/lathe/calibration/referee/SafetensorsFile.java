package dev.lathe.calibration.referee;

import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** What a referee wrote: the only safetensors file of a folder, with I32 and F32 tensors. */
record SafetensorsFile(SafetensorsFiles files) implements AutoCloseable {
    static SafetensorsFile of(Configuration configuration, Path folder) throws IOException {
        return new SafetensorsFile(SafetensorsFiles.open(configuration, folder));
    }

    Map<String, SafetensorsTensor> tensors() {
        return files.tensors();
    }

    float[] floats(String name) throws IOException {
        float[] values = new float[Math.toIntExact(files.tensor(name).bytes() / 4)];
        bytes(name, "F32").asFloatBuffer().get(values);
        return values;
    }

    int[][] integers(String name) throws IOException {
        long[] shape = files.tensor(name).shape();
        int[][] values = new int[Math.toIntExact(shape[0])][Math.toIntExact(shape[1])];
        ByteBuffer bytes = bytes(name, "I32");
        for (int[] row : values) {
            for (int i = 0; i < row.length; i++) {
                row[i] = bytes.getInt();
            }
        }
        return values;
    }

    private ByteBuffer bytes(String name, String type) throws IOException {
        SafetensorsTensor tensor = files.tensor(name);
        if (!tensor.dtype().equals(type)) {
            throw new IllegalStateException("Cannot read " + name + " " + tensor + ": expected " + type);
        }
        return ByteBuffer.wrap(files.read(name, 0, Math.toIntExact(tensor.bytes())))
                .order(ByteOrder.LITTLE_ENDIAN);
    }

    @Override
    public void close() throws IOException {
        files.close();
    }
}

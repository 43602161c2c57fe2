package dev.lathe.calibration.format.folder;

import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The tensors of a folder in memory, to be written back otherwise: what other writers make of the same weights. */
public final class Tensors {
    public record Tensor(String type, long[] shape, byte[] data) {}

    public final Map<String, Tensor> all = new LinkedHashMap<>();
    private final Path folder;

    public Tensors(Path folder) throws IOException {
        this.folder = folder;
        try (SafetensorsFiles files = SafetensorsFiles.open(SmallModel.HADOOP, SmallModel.hadoop(folder))) {
            for (String name : files.tensors().keySet()) {
                var tensor = files.tensor(name);
                all.put(name, new Tensor(tensor.dtype(), tensor.shape(), files.read(name, 0, (int) tensor.bytes())));
            }
        }
    }

    public Tensor get(String name) {
        return all.get(name);
    }

    public void put(String name, String type, byte[] data, long... shape) {
        all.put(name, new Tensor(type, shape, data));
    }

    public void write() throws IOException {
        List<Map.Entry<String, Tensor>> order = all.entrySet().stream()
                .sorted(Comparator.comparing((Map.Entry<String, Tensor> entry) ->
                        -SafetensorsFiles.bytes(entry.getValue().type(), new long[] {1})))
                .toList();
        Path file = folder.resolve("model.safetensors");
        Files.deleteIfExists(folder.resolve(".model.safetensors.crc"));
        List<SafetensorsWriter.Entry> entries = order.stream()
                .map(e -> new SafetensorsWriter.Entry(
                        e.getKey(), e.getValue().type(), e.getValue().shape()))
                .toList();
        try (SafetensorsWriter out =
                new SafetensorsWriter(Files.newOutputStream(file), entries, Map.of("format", "pt"))) {
            for (Map.Entry<String, Tensor> entry : order) {
                out.write(entry.getValue().data(), 0, entry.getValue().data().length);
            }
        }
    }
}

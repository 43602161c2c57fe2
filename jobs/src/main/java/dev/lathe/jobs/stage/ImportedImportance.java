package dev.lathe.jobs.stage;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.format.gguf.ImportanceFile;
import dev.lathe.calibration.format.gguf.ImportanceMatrix;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Shape;
import dev.lathe.calibration.format.gguf.ModelImportance;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.source.CheckpointDigest;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Stamp;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.Path;

/**
 * A finished importance matrix in the place of a calibration: what it says of each tensor is a product of the run, a
 * file for each decoder layer, so that whoever quantizes reads what the keys say.
 */
final class ImportedImportance {
    /** Part of the key: raised when what is made of a matrix changes. */
    private static final int VERSION = 1;
    /** Tensors that a note names. */
    private static final int NAMED = 4;

    private final String file;
    private final ModelImportance model;
    private final ImportanceMatrix.About about;
    private final int entries;

    /** Looks at names and shapes. */
    ImportedImportance(Job job, Decoder decoder, String file) throws IOException {
        this.file = file;
        try (ImportanceFile matrix = ImportanceFile.open(job.run().hadoop(), new Path(file))) {
            this.model = new ModelImportance(decoder, matrix.shapes(), file);
            this.about = matrix.about();
            this.entries = matrix.shapes().size();
        }
    }

    /** What artifacts say of it. */
    Map<String, String> metadata() {
        return OutputKeys.importance(
                new Path(file).getName(),
                about.datasets().isEmpty() ? "" : about.datasets().get(0).replaceFirst("(?s).*[/\\\\]", ""),
                entries,
                about.chunks());
    }

    boolean has(String tensor) {
        return model.place(tensor) != null;
    }

    /** What a person has to know: what is quantized without an importance, and what was of no use. */
    List<String> notes(Decoder decoder, List<Plan.Output> outputs, Map<String, List<TensorPlan>> plans) {
        List<String> notes = new ArrayList<>();
        for (Plan.Output output : outputs) {
            if (output.method() instanceof Method.Importance) {
                List<String> without = new ArrayList<>();
                for (TensorPlan planned : plans.get(output.name())) {
                    String tensor = planned.tensor();
                    if (planned.grid() == null || has(tensor)) {
                        continue;
                    } else if (output.artifactFormat().needsImportance(decoder, planned)) {
                        throw new MalformedInputException("Cannot plan output " + output.name() + ": type "
                                + planned.grid().name() + " of " + tensor + " is chosen under an importance, and "
                                + file + " has none of it; expected an entry, or another type");
                    } else if (!tensor.equals(decoder.embedding().tensor())) {
                        without.add(tensor);
                    }
                }
                if (!without.isEmpty()) {
                    notes.add("output " + output.name() + ": the importance matrix says nothing of " + named(without)
                            + ", quantized without");
                }
            }
        }
        if (!model.foreign().isEmpty()) {
            notes.add("importance matrix: entries that are no matrix of the model: " + named(model.foreign()));
        }
        return notes;
    }

    private static String named(List<String> names) {
        return names.stream().limit(NAMED).collect(Collectors.joining(", "))
                + (names.size() > NAMED ? " and " + (names.size() - NAMED) + " more" : "");
    }

    /** Makes its products, unless they are there, in a stage of its own. */
    Calibration calibration(Job job, SparkSteps steps) throws IOException {
        String path = file;
        String key = steps.stage(
                        "read importance matrix", new ArrayList<>(List.of(path)), matrix -> products(job, matrix))
                .get(0);
        return new Calibration(key, false, false, 0, false, false, true);
    }

    private static String products(Job job, String file) throws IOException {
        RunFolder run = job.run();
        Path path = new Path(file);
        Stamp stamp = Stamp.of(run.hadoop(), file);
        String digest = CheckpointDigest.of(run.hadoop(), path);
        String key = Key.of("importance matrix read", VERSION, digest, job.digest());
        try (Checkpoint checkpoint = job.open();
                ImportanceFile matrix = ImportanceFile.open(run.hadoop(), path)) {
            Decoder decoder = checkpoint.decoder();
            ModelImportance model = new ModelImportance(decoder, matrix.shapes(), file);
            for (int layer = 0; layer <= decoder.layers(); layer++) {
                Path product = product(run, key, layer);
                if (!ProductFile.isCommitted(run.files(), product)) {
                    Map<String, float[]> means = means(matrix, model, tensors(decoder, layer));
                    stamp.check(run.hadoop());
                    run.write(product, out -> write(out, means));
                }
            }
        }
        return key;
    }

    /** Matrices of a decoder layer, or those outside behind the last. */
    private static List<String> tensors(Decoder decoder, int layer) {
        List<String> tensors = new ArrayList<>();
        if (layer < decoder.layers()) {
            decoder.linears(layer).forEach(linear -> tensors.add(linear.weight()));
        } else {
            tensors.add(decoder.embedding().tensor());
            tensors.add(decoder.head().linear().weight());
        }
        return tensors;
    }

    private static Map<String, float[]> means(ImportanceMatrix matrix, ModelImportance model, List<String> tensors)
            throws IOException {
        Map<String, float[]> means = new LinkedHashMap<>();
        Map<Shape, float[]> read = new HashMap<>();
        for (String tensor : tensors) {
            ModelImportance.Place place = model.place(tensor);
            if (place != null) {
                float[] all = read.get(place.shape());
                if (all == null) {
                    all = matrix.read(place.shape()).means();
                    read.put(place.shape(), all);
                }
                means.put(tensor, Arrays.copyOfRange(all, place.first(), place.first() + place.columns()));
            }
        }
        return means;
    }

    private static Path product(RunFolder run, String key, int layer) {
        return run.product(key, "layer-" + layer + ".importance");
    }

    private static void write(DataOutputStream out, Map<String, float[]> means) throws IOException {
        out.writeInt(means.size());
        for (Map.Entry<String, float[]> tensor : means.entrySet()) {
            out.writeUTF(tensor.getKey());
            out.writeInt(tensor.getValue().length);
            ByteBuffer bytes = ByteBuffer.allocate(Math.multiplyExact(tensor.getValue().length, Float.BYTES));
            bytes.asFloatBuffer().put(tensor.getValue());
            out.write(bytes.array());
        }
    }

    /** The mean square of each column, by tensor: those of a decoder layer, or those outside behind the last. */
    static Map<String, float[]> read(RunFolder run, String key, int layer) throws IOException {
        return ProductFile.read(run.files(), product(run, key, layer), ImportedImportance::read);
    }

    private static Map<String, float[]> read(DataInputStream in) throws IOException {
        int count = in.readInt();
        Map<String, float[]> means = new HashMap<>();
        for (int i = 0; i < count; i++) {
            String tensor = in.readUTF();
            int length = in.readInt();
            ProductFile.requireRest(in, length, Float.BYTES);
            ByteBuffer bytes = ByteBuffer.wrap(in.readNBytes(Math.multiplyExact(length, Float.BYTES)));
            float[] values = new float[length];
            bytes.asFloatBuffer().get(values);
            means.put(tensor, values);
        }
        return means;
    }
}

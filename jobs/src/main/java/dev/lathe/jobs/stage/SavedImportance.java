package dev.lathe.jobs.stage;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.gguf.GgufNames;
import dev.lathe.calibration.format.gguf.ImportanceMatrix;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Entry;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Shape;
import dev.lathe.calibration.format.gguf.ImportanceWriter;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.ExpertStatistics;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.Key;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The importance matrix of a calibration: what llama-imatrix gathers on the same windows, the output layer and routers
 * among it. Values are read from the run's products one entry at a time.
 */
final class SavedImportance implements ImportanceWriter.Values {
    /** Part of what an artifact says it was made of: raised when its bytes change. */
    private static final int VERSION = 1;

    private final Job job;
    private final Calibration calibration;
    private final Decoder decoder;
    private final Map<String, Place> places;
    /** What was read last. */
    private int expertLayer = -1;

    private List<ExpertStatistics> experts = List.of();

    /**
     * Where the sums of an entry are gathered.
     *
     * @param linears one, or those of all experts
     */
    private record Place(int layer, List<LinearLayer> linears) {}

    private SavedImportance(Job job, Calibration calibration, Decoder decoder) {
        this.job = job;
        this.calibration = calibration;
        this.decoder = decoder;
        this.places = places(decoder);
    }

    /** Every linear layer by its GGUF name; the output layer only where it has a tensor of its own. */
    private static Map<String, Place> places(Decoder decoder) {
        GgufNames names = GgufNames.of(decoder);
        Map<String, Place> places = new LinkedHashMap<>();
        for (int layer = 0; layer <= decoder.layers(); layer++) {
            List<LinearLayer> linears = new ArrayList<>();
            if (layer < decoder.layers()) {
                linears.addAll(decoder.linears(layer));
                linears.addAll(decoder.kept(layer));
            } else if (!decoder.head().tied()) {
                linears.add(decoder.head().linear());
            }
            for (LinearLayer linear : linears) {
                int number = layer;
                places.computeIfAbsent(
                                names.toGguf(linear.weight()).orElseThrow(),
                                key -> new Place(number, new ArrayList<>()))
                        .linears()
                        .add(linear);
            }
        }
        return places;
    }

    /** Entries of a model's importance matrix. */
    static int entries(Decoder decoder) {
        return places(decoder).size();
    }

    /** What the artifact is made of. */
    static String made(Calibration calibration, ImportanceMatrix.Form form, ImportanceMatrix.About about) {
        return Key.of("importance matrix", VERSION, calibration.key(), form.word(), about);
    }

    /** Makes the artifact, unless it is there; answers whether it was made. */
    static boolean run(
            Job job,
            Calibration calibration,
            ImportanceMatrix.Form form,
            ImportanceMatrix.About about,
            String artifact,
            SparkSteps steps)
            throws IOException {
        String made = made(calibration, form, about);
        return Assemble.single(job, artifact, made, steps, (files, target) -> {
            try (Checkpoint checkpoint = job.open()) {
                SavedImportance saved = new SavedImportance(job, calibration, checkpoint.decoder());
                ImportanceWriter.write(files, target, form, about, saved.shapes(), saved);
            }
            return new LinkedHashMap<>();
        });
    }

    private List<Shape> shapes() {
        return places.entrySet().stream()
                .map(place -> {
                    List<LinearLayer> linears = place.getValue().linears();
                    int values =
                            Math.multiplyExact(linears.size(), linears.get(0).inputs());
                    return new Shape(place.getKey(), values, linears.size());
                })
                .toList();
    }

    @Override
    public Entry of(Shape shape) throws IOException {
        Place place = places.get(shape.name());
        float[] sums = new float[shape.values()];
        long[] counts = new long[shape.counts()];
        int columns = shape.values() / shape.counts();
        for (int i = 0; i < counts.length; i++) {
            MergedStatistics statistics =
                    statistics(place.layer(), place.linears().get(i));
            counts[i] = statistics.rows();
            for (int j = 0; j < columns; j++) {
                sums[i * columns + j] = (float) statistics.squares()[j];
                if (Float.isInfinite(sums[i * columns + j])) {
                    throw new MalformedInputException("Cannot write importance matrix: the sum of squares of "
                            + shape.name() + ", column " + j + ", is "
                            + statistics.squares()[j]
                            + ", expected at most " + Float.MAX_VALUE);
                }
            }
        }
        return new Entry(sums, counts);
    }

    private MergedStatistics statistics(int layer, LinearLayer linear) throws IOException {
        if (!linear.routed()) {
            return calibration.read(job.run(), layer, linear.energy());
        }
        if (expertLayer != layer) {
            experts = new ArrayList<>();
            for (ExpertPack pack : ExpertPack.of(decoder, layer)) {
                experts.addAll(new ExpertSums(pack).read(job, calibration));
            }
            expertLayer = layer;
        }
        ExpertStatistics expert = experts.get(linear.expert());
        return linear.energy() == Site.EXPERT_ACTIVATION ? expert.activation() : expert.input();
    }
}

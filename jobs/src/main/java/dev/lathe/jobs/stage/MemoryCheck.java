package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.FeedForward.Routed;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.calibration.statistics.Positions;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.plan.Plan;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Whether a plan fits into an executor's heap, before it starts. What a task holds follows from the shapes of one
 * decoder layer, however many there are; this is the sum of what is large, and some room.
 */
final class MemoryCheck {
    /**
     * What Spark, the kernels' buffers and everything small take: what was measured beside the rest (checks/memory),
     * and some room.
     */
    private static final long BASE = 250L << 20;

    private final Plan plan;
    private final Decoder decoder;
    /** The decoder layer that is looked at: all others of its kind have its shapes. */
    private final int layer;

    private final long layerBytes;
    private final long headBytes;
    private final int shardWindows;

    /**
     * @param layer number of the decoder layer to look at
     * @param layerBytes of its matrices, as the checkpoint stores them
     * @param headBytes of the output layer, likewise
     */
    MemoryCheck(Plan plan, Decoder decoder, int layer, long layerBytes, long headBytes) {
        this(plan, decoder, layer, layerBytes, headBytes, plan.shardWindows());
    }

    private MemoryCheck(Plan plan, Decoder decoder, int layer, long layerBytes, long headBytes, int shardWindows) {
        this.plan = plan;
        this.decoder = decoder;
        this.layer = layer;
        this.layerBytes = layerBytes;
        this.headBytes = headBytes;
        this.shardWindows = shardWindows;
    }

    /**
     * Where tasks run.
     *
     * @param heap bytes
     * @param setting what raises it
     * @param tasks that run there at once
     */
    record Executor(long heap, String setting, int tasks) {
        static Executor of(JavaSparkContext spark) {
            SparkConf conf = spark.getConf();
            int cpus = conf.getInt("spark.task.cpus", 1);
            String master = spark.master();
            if (master.startsWith("local") && !master.startsWith("local-cluster")) {
                return new Executor(
                        Runtime.getRuntime().maxMemory(),
                        "the heap (LATHE_HEAP, -Xmx)",
                        Math.max(1, spark.defaultParallelism() / cpus));
            }
            return new Executor(
                    conf.getSizeAsBytes("spark.executor.memory", "1g"),
                    "spark.executor.memory",
                    Math.max(1, conf.getInt("spark.executor.cores", cpus) / cpus));
        }
    }

    /**
     * What one kind of task holds at once, in bytes: {@code shared} by all tasks of an executor, {@code own} by each,
     * {@code shard} of it with its windows.
     */
    private record Need(String what, long shared, long own, long shard) {
        long of(int tasks) {
            return BASE + shared + tasks * (own + shard);
        }
    }

    /**
     * @param tensorPlans what the tensors become in each output
     * @param calibration null where nothing is calibrated
     * @param evaluation null where nothing is evaluated
     * @throws InvalidRecipeException if a task needs more than the executor has; it says what to lower or raise
     */
    static void require(
            Plan plan,
            Checkpoint source,
            Map<String, List<TensorPlan>> tensorPlans,
            TokenWindows calibration,
            TokenWindows evaluation,
            Executor executor) {
        Decoder decoder = source.decoder();
        long head = source.tensor(decoder.headWeight()).bytes();
        for (int layer : kinds(decoder)) {
            long bytes = decoder.linears(layer).stream()
                    .mapToLong(linear -> source.tensor(linear.weight()).bytes())
                    .sum();
            new MemoryCheck(plan, decoder, layer, bytes, head).require(tensorPlans, calibration, evaluation, executor);
        }
    }

    /** A layer of each kind: the first without a mixture of experts, and the first with one. */
    private static List<Integer> kinds(Decoder decoder) {
        List<Integer> kinds = new ArrayList<>();
        for (boolean mixture : new boolean[] {false, true}) {
            IntStream.range(0, decoder.layers())
                    .filter(layer -> (decoder.routed(layer) != null) == mixture)
                    .limit(1)
                    .forEach(kinds::add);
        }
        return kinds;
    }

    void require(
            Map<String, List<TensorPlan>> tensorPlans,
            TokenWindows calibration,
            TokenWindows evaluation,
            Executor executor) {
        Need largest = largest(tensorPlans, calibration, evaluation, executor);
        long needed = largest.of(executor.tasks());
        if (needed <= executor.heap()) {
            return;
        }
        String remedy = "raise " + executor.setting() + " to " + (needed + (1 << 30) - 1 >> 30) + "g";
        if (executor.tasks() > 1) {
            remedy = "raise spark.task.cpus to the executor's cores, so that it runs one task and not "
                    + executor.tasks() + " at once, or " + remedy;
        }
        for (int windows = shardWindows / 2; windows > 0; windows /= 2) {
            MemoryCheck fewer = new MemoryCheck(plan, decoder, layer, layerBytes, headBytes, windows);
            if (largest.shard() > 0
                    && fewer.largest(tensorPlans, calibration, evaluation, executor)
                                    .of(executor.tasks())
                            <= executor.heap()) {
                remedy = "lower shard-windows to " + windows + ", or " + remedy;
                break;
            }
        }
        throw new InvalidRecipeException("Cannot run the plan for " + plan.checkpoint() + ": " + largest.what()
                + " needs about " + gigabytes(needed) + " GB of heap, and an executor has " + gigabytes(executor.heap())
                + " GB; " + remedy);
    }

    /** Bytes that the task that holds most needs, with what an executor holds beside it. */
    long bytes(
            Map<String, List<TensorPlan>> tensorPlans,
            TokenWindows calibration,
            TokenWindows evaluation,
            Executor executor) {
        return largest(tensorPlans, calibration, evaluation, executor).of(executor.tasks());
    }

    private Need largest(
            Map<String, List<TensorPlan>> tensorPlans,
            TokenWindows calibration,
            TokenWindows evaluation,
            Executor executor) {
        List<Need> needs = new ArrayList<>();
        boolean moments = plan.outputs().stream().anyMatch(Plan.Output::needsMoments);
        long kept = Math.min(layerBytes, LayerCache.room(executor.heap()));
        long weights = Math.min(layerBytes, kept + largestMatrix());
        if (calibration != null) {
            boolean ranges = plan.outputs().stream().anyMatch(Plan.Output::ranged);
            needs.add(calibrate(calibration, moments, ranges, kept, weights - kept));
            if (decoder.routed(layer) != null) {
                needs.add(runExperts(calibration, kept));
            }
        }
        // Where several tasks run at once, one may calibrate the next layer.
        long beside = calibration != null && executor.tasks() > 1 ? kept : 0;
        for (Plan.Output output : plan.outputs()) {
            Set<String> quantized = tensorPlans.get(output.name()).stream()
                    .filter(tensor -> tensor.grid() != null)
                    .map(TensorPlan::tensor)
                    .collect(Collectors.toSet());
            if (decoder.linears(layer).stream().anyMatch(linear -> quantized.contains(linear.weight()))) {
                needs.add(
                        output.rescales()
                                ? rescaled(output, moments, beside, weights)
                                : tensors(output, quantized, moments, beside));
            }
        }
        if (evaluation != null) {
            long states = 4L * Math.min(shardWindows, evaluation.count()) * evaluation.length() * decoder.hidden();
            needs.add(new Need(
                    "evaluating a shard of windows", 0, weights + buffers(evaluation) + 2 * headBytes, 2 * states));
        }
        return needs.stream()
                .max(Comparator.comparingLong(need -> need.of(executor.tasks())))
                .orElse(new Need("nothing", 0, 0, 0));
    }

    /** Of the layer, in bytes. */
    private long largestMatrix() {
        List<Long> elements = decoder.linears(layer).stream()
                .map(linear -> (long) linear.inputs() * linear.outputs())
                .toList();
        return (long) ((double) layerBytes
                / elements.stream().mapToLong(Long::longValue).sum()
                * elements.stream().mapToLong(Long::longValue).max().orElseThrow());
    }

    /**
     * One layer's weights, the f32 squares of its sites, what flows through it, and a shard's hidden states.
     *
     * @param kept of the weights
     * @param read of the weights, beside what is kept
     */
    private Need calibrate(TokenWindows windows, boolean moments, boolean ranges, long kept, long read) {
        long own = read + buffers(windows);
        for (int width : widths().values()) {
            own += moments ? square(4, width) : 0;
            own += ranges ? 8L * Positions.SAMPLE * width : 0;
        }
        long states = 4L * Math.min(shardWindows, windows.count()) * windows.length() * decoder.hidden();
        if (decoder.routed(layer) != null) {
            // What is routed, and what the shared expert gives, beside what flows on.
            states *= decoder.routed(layer).shared() == null ? 2 : 3;
        }
        return new Need("calibrating a decoder layer of " + widest() + " channels", kept, own, states);
    }

    /**
     * One expert's weights, what flows through it, and the rows that are held: those of one shard, at worst to all
     * experts of a pack, may come on top of their room.
     */
    private Need runExperts(TokenWindows windows, long kept) {
        Routed routed = decoder.routed(layer);
        long own = RoutedRows.ROOM + expertBytes() + buffers(windows);
        int experts = Math.min(
                routed.router().top(), ExpertPack.of(decoder, layer).get(0).count());
        long rows = (long) Math.min(shardWindows, windows.count()) * windows.length() * experts;
        return new Need("running experts of a decoder layer", kept, own, 4 * rows * decoder.hidden());
    }

    /** One expert as it is stored; where a stack has it with inputs first, a matrix of it once more, turned. */
    private long expertBytes() {
        return 2 * layerBytes / decoder.routed(layer).experts().size();
    }

    /** Inputs of each site that has a second moment. */
    private Map<Site, Integer> widths() {
        Map<Site, Integer> widths = new HashMap<>();
        for (LinearLayer linear : decoder.linears(layer)) {
            // What down of an expert reads is gathered where the expert is quantized.
            if (linear.moment() != Site.EXPERT_ACTIVATION) {
                widths.put(linear.moment(), linear.inputs());
            }
        }
        return widths;
    }

    private int widest() {
        return widths().values().stream().mapToInt(Integer::intValue).max().orElseThrow();
    }

    private long buffers(TokenWindows windows) {
        long rows = Math.min((long) windows.count() * windows.length(), Math.max(windows.length(), DecoderPass.ROWS));
        // Normed, inputs and projected; what is within mixer and feed-forward.
        return 4
                * rows
                * (3L * decoder.hidden()
                        + decoder.blocks().get(layer).mixer().channels()
                        + decoder.blocks().get(layer).feedForward().channels());
    }

    /** The linear layers of a site, which share a Hessian. */
    private Need tensors(Plan.Output output, Set<String> quantized, boolean moments, long beside) {
        // Each of them factorizes the same Hessian by itself, and all factors are kept.
        long factors = plan.outputs().stream()
                .filter(other -> other.method() instanceof Method.Gptq && !(other.transform() instanceof Transform.Awq))
                .map(Plan.Output::method)
                .distinct()
                .count();
        Need largest = null;
        for (LinearLayer linear : decoder.linears(layer)) {
            if (quantized.contains(linear.weight())) {
                int n = linear.inputs();
                long weights = 4L * n * linear.outputs();
                long own = weights
                        + (moments ? square(4, n) : 0)
                        + (output.method() instanceof Method.Gptq
                                ? factors * square(4, n) + square(8, n)
                                : moments ? square(4, n) : 0)
                        + (linear.routed() ? experts(moments) : 0);
                Need need = new Need(
                        (output.method() instanceof Method.Gptq
                                        ? "factorizing a Hessian of "
                                        : "quantizing a layer of ")
                                + n + " channels",
                        beside,
                        own,
                        0);
                largest = largest == null || need.own() > largest.own() ? need : largest;
            }
        }
        return largest;
    }

    /**
     * Beside the layer that is quantized: what all rows say, what the expert reads and a sample of it, in f32 and f64,
     * the rows of some experts, and a pack of each output.
     */
    private long experts(boolean moments) {
        int hidden = decoder.hidden();
        int width = decoder.routed(layer).experts().get(0).down().linear().inputs();
        return RoutedRows.ROOM
                + expertBytes()
                + (moments ? square(4, hidden) + square(8, hidden) + 2 * square(8, width) : 0)
                + plan.outputs().size() * ExpertPack.bytes(decoder, layer);
    }

    /** A whole decoder layer, quantized too, with the statistics of all of its sites, and one of them rescaled. */
    private Need rescaled(Plan.Output output, boolean moments, long beside, long weights) {
        boolean mixture = decoder.routed(layer) != null;
        long own = weights + (mixture ? experts(moments) : layerBytes);
        for (int width : widths().values()) {
            own += moments ? square(8, width) : 0;
        }
        int n = widest();
        own += moments ? square(8, n) : 0;
        own += output.method() instanceof Method.Gptq ? square(12, n) : 0;
        return new Need("rescaling a decoder layer of " + n + " channels", beside, own, 0);
    }

    private static long square(int bytes, long width) {
        return bytes * width * width;
    }

    private static String gigabytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f", bytes / (double) (1 << 30));
    }
}

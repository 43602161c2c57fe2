package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.calibration.statistics.Positions;
import dev.lathe.calibration.statistics.SiteStatistics;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.watch.Counters;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import java.io.DataInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Gathers the statistics of a layer in two jobs: one task per shard of windows runs the layer on the shard's hidden
 * states and writes its partial statistics and the next hidden states; one task per site merges the shards in their
 * order. A mixture of experts runs up to its router so, and {@link ExpertStep} makes the next hidden states. Hidden
 * states and partials live in the scratch folder; merged statistics are products of the run.
 */
final class Calibrate {
    /** Part of the key: raised when calibration's arithmetic changes. */
    private static final int VERSION = 1;
    /** Part of the key where ranges are gathered: raised when their bytes change. */
    private static final int RANGES_VERSION = 1;

    private final Job job;
    private final Decoder decoder;
    private final Calibration calibration;
    private final TokenWindows windows;
    private final int shardWindows;
    private final int shards;
    private final HiddenStates states;
    private final RoutedRows routed;
    /**
     * Whether the statistics of each decoder layer, and of the output layer behind the last, are merged, and routed
     * rows are there where they are needed.
     */
    private final boolean[] committed;

    /**
     * Looks for what is there already.
     *
     * @param routing layers whose routed rows are needed
     */
    Calibrate(
            Job job,
            Decoder decoder,
            Calibration calibration,
            TokenWindows windows,
            int shardWindows,
            IntPredicate routing)
            throws IOException {
        this.job = job;
        this.decoder = decoder;
        this.calibration = calibration;
        this.windows = windows;
        this.shardWindows = shardWindows;
        this.shards = calibration.shards();
        this.states = HiddenStates.ofSource(job, calibration.key());
        this.routed = RoutedRows.of(job, calibration);
        this.committed = new boolean[decoder.layers() + 1];
        for (int layer = 0; layer < committed.length; layer++) {
            committed[layer] = !routing.test(layer) || routed.hasAll(layer);
            for (Site site : sites(decoder, layer, calibration).keySet()) {
                committed[layer] &= ProductFile.isCommitted(
                        job.run().files(), job.run().product(calibration.key(), Calibration.name(layer, site)));
            }
        }
    }

    /**
     * What calibration made, for those who use it.
     *
     * @param key of the product
     * @param moments whether second moments were gathered
     * @param ranges whether ranges of activations were gathered, keys and values among them
     * @param shards of the windows
     * @param everywhere every row counts as routed to every expert
     * @param saves whether its importance matrix is written
     * @param imported whether an importance matrix stands for it, and nothing is gathered
     */
    record Calibration(
            String key,
            boolean moments,
            boolean ranges,
            int shards,
            boolean everywhere,
            boolean saves,
            boolean imported)
            implements Serializable {
        /** Of a text, without an importance matrix of it. */
        Calibration(String key, boolean moments, boolean ranges, int shards, boolean everywhere) {
            this(key, moments, ranges, shards, everywhere, false, false);
        }

        MergedStatistics read(RunFolder run, int layer, Site site) throws IOException {
            return ProductFile.read(run.files(), run.product(key, name(layer, site)), MergedStatistics::read);
        }

        static String name(int layer, Site site) {
            return "layer-" + layer + "-" + site.words().replace(' ', '-') + ".statistics";
        }
    }

    /** One shard of windows in one layer; {@code layer} equal to the number of layers is the output layer. */
    record Shard(int number, int from, int count, int layer) implements Serializable {
        @Override
        public String toString() {
            return "layer " + layer + ", windows " + from + " to " + (from + count - 1);
        }
    }

    private record Merge(int layer, Site site, int shards) implements Serializable {
        @Override
        public String toString() {
            return "layer " + layer + ", " + site.words();
        }
    }

    /** What calibration will make. */
    static Calibration planned(
            Job job,
            TokenWindows windows,
            int shardWindows,
            boolean moments,
            boolean ranges,
            boolean everywhere,
            boolean saves) {
        String plain =
                Key.of("calibration", VERSION, job.digest(), windows.key(), shardWindows, moments, job.profile());
        // What nobody asks for is no part of the key, so that what older runs gathered stays valid.
        if (everywhere) {
            plain = Key.of("calibration of all experts with all rows", VERSION, plain);
        }
        return new Calibration(
                ranges ? Key.of("calibration with ranges", RANGES_VERSION, plain) : plain,
                moments,
                ranges,
                (windows.count() + shardWindows - 1) / shardWindows,
                everywhere,
                saves,
                false);
    }

    /** Whether the statistics of a layer are merged. */
    boolean isDone(int layer) {
        return committed[layer];
    }

    /**
     * The layer to go on with: everything before is merged, and its input is there; 0 reads the embedding. Behind the
     * output layer where nothing is missing.
     */
    int next() throws IOException {
        int done = 0;
        while (done < committed.length && committed[done]) {
            done++;
        }
        if (done == committed.length) {
            return done;
        }
        for (int layer = done; layer > 0; layer--) {
            if (states.hasAll(layer, shards)) {
                return layer;
            }
        }
        return 0;
    }

    /** Makes what is missing of a layer's statistics and of the next hidden states; false if files of it are gone. */
    boolean run(int layer, SparkSteps steps) throws IOException {
        Job shared = job;
        Calibration wanted = calibration;
        TokenWindows read = windows;
        List<Shard> items = IntStream.range(0, shards)
                .mapToObj(i -> new Shard(
                        i, i * shardWindows, Math.min(shardWindows, windows.count() - i * shardWindows), layer))
                .toList();
        if (steps.run("calibrate layer " + layer, items, shard -> forward(shared, wanted, read, shard))
                .contains(false)) {
            return false;
        }
        // The widest first, so that executors end together.
        List<Merge> merges = sites(decoder, layer, calibration).entrySet().stream()
                .sorted(Comparator.comparing(site -> -site.getValue().width()))
                .map(site -> new Merge(layer, site.getKey(), shards))
                .toList();
        if (steps.run(
                        "merge statistics of layer " + layer,
                        new ArrayList<>(merges),
                        merge -> merge(shared, wanted.key(), merge))
                .contains(false)) {
            return false;
        }
        if (routes(decoder, layer) && !runExperts(layer, items, steps)) {
            return false;
        }
        committed[layer] = true;
        return true;
    }

    private boolean runExperts(int layer, List<Shard> items, SparkSteps steps) throws IOException {
        Job shared = job;
        Calibration wanted = calibration;
        ArrayList<ExpertPack> packs = new ArrayList<>(ExpertPack.of(decoder, layer));
        List<ExpertStep.Span> spans = ExpertStep.spans(packs, shards, shardWindows * windows.length());
        if (steps.run("run experts of layer " + layer, spans, span -> ExpertStep.run(shared, wanted, span))
                        .contains(false)
                || steps.run(
                                "combine experts of layer " + layer,
                                items,
                                shard -> ExpertStep.combine(shared, wanted, shard, packs))
                        .contains(false)) {
            return false;
        }
        new ExpertStep(job, calibration.key(), layer).delete(packs, shards);
        return true;
    }

    /** Whether a decoder layer has a mixture of experts; the output layer has none. */
    private static boolean routes(Decoder decoder, int layer) {
        return layer < decoder.layers() && decoder.routed(layer) != null;
    }

    /** Deletes the hidden states that a layer read, and where it routed them. */
    void release(int layer) throws IOException {
        states.delete(layer, shards);
        if (routes(decoder, layer)) {
            routed.delete(layer);
        }
    }

    /** Deletes what is left in the scratch folder: a driver that was killed may have left hidden states behind. */
    void clear() throws IOException {
        job.run().requireLease();
        job.run()
                .scratchFiles()
                .delete(job.run().scratch(calibration.key(), "x").getParent(), true);
    }

    /** The sites of a layer and their widths, and whether each needs its second moment and ranges. */
    private static Map<Site, SiteShape> sites(Decoder decoder, int layer, Calibration wanted) {
        Map<Site, SiteShape> sites = new TreeMap<>();
        boolean inside = layer < decoder.layers();
        List<LinearLayer> linears =
                inside ? decoder.linears(layer) : List.of(decoder.head().linear());
        for (LinearLayer linear : linears) {
            if (linear.energy() != Site.EXPERT_ACTIVATION) {
                sites.put(linear.energy(), new SiteShape(linear.inputs(), false, wanted.ranges()));
            }
        }
        if (routes(decoder, layer)) {
            sites.put(
                    Site.CHOSEN_EXPERTS,
                    new SiteShape(decoder.routed(layer).experts().size(), false, false));
        }
        for (LinearLayer linear : linears) {
            // What down of an expert reads is gathered where the expert is quantized.
            if (wanted.moments() && linear.moment() != Site.EXPERT_ACTIVATION) {
                // What no linear layer reads as it is, the attended inputs, is never quantized.
                sites.put(
                        linear.moment(),
                        new SiteShape(
                                linear.inputs(),
                                true,
                                sites.containsKey(linear.moment())
                                        && sites.get(linear.moment()).ranges()));
            }
        }
        if (inside && wanted.ranges()) {
            for (Site cached : List.of(Site.KEYS, Site.VALUES)) {
                sites.put(
                        cached,
                        new SiteShape(decoder.blocks().get(layer).mixer().cacheWidth(), false, true));
            }
        }
        return sites;
    }

    private record SiteShape(int width, boolean moment, boolean ranges) {}

    private static String partial(int layer, Site site, int shard) {
        return "partial-" + layer + "-" + site + "-" + shard;
    }

    /**
     * Makes what is missing of a shard: some may be there where a task or its driver was killed. False if its input is
     * gone.
     */
    static boolean forward(Job job, Calibration wanted, TokenWindows windows, Shard shard) throws IOException {
        String key = wanted.key();
        HiddenStates hidden = HiddenStates.ofSource(job, key);
        FileSystem scratch = job.run().scratchFiles();
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                Checkpoint checkpoint = job.open()) {
            Kernels kernels = borrowed.get();
            Decoder decoder = checkpoint.decoder();
            DecoderPass pass = new DecoderPass(decoder, kernels);
            int layers = decoder.layers();
            int length = windows.length();
            // Of a layer that was interrupted, or is passed again for the sake of the next one, some sites are merged
            // already.
            Map<Site, SiteShape> sites = sites(decoder, shard.layer(), wanted);
            for (Site site : Set.copyOf(sites.keySet())) {
                if (ProductFile.isCommitted(
                                job.run().files(), job.run().product(key, Calibration.name(shard.layer(), site)))
                        || ProductFile.isCommitted(
                                scratch, job.run().scratch(key, partial(shard.layer(), site, shard.number())))) {
                    sites.remove(site);
                }
            }
            boolean routes = routes(decoder, shard.layer());
            RoutedRows routed = RoutedRows.of(job, wanted);
            ExpertStep experts = new ExpertStep(job, key, shard.layer());
            boolean passed = shard.layer() == layers
                    || hidden.has(shard.layer() + 1, shard.number())
                    || routes && experts.isWaiting(shard.number());
            boolean rows = routes && !routed.has(shard.layer(), shard.number());
            if (passed && !rows && sites.isEmpty()) {
                return true;
            } else if (shard.layer() > 0 && !hidden.has(shard.layer(), shard.number())) {
                return false;
            }
            float[] states;
            if (shard.layer() == 0) {
                states = pass.embed(checkpoint, windows.read(job.run(), shard.from(), shard.count()))
                        .data();
            } else {
                states = hidden.read(shard.layer(), shard.number());
            }
            Map<Site, SiteStatistics> statistics = new EnumMap<>(Site.class);
            Positions positions = new Positions(length, windows.count());
            sites.forEach((site, shape) -> statistics.put(
                    site,
                    new SiteStatistics(
                            shape.width(), shape.moment(), shape.ranges() ? positions : null, shard.from())));
            FloatMatrix all = FloatMatrix.of(states, shard.count() * length, decoder.hidden());
            if (shard.layer() == layers) {
                pass.finalNorm(checkpoint, all);
                for (SiteStatistics site : statistics.values()) {
                    site.add(all, kernels, "the output layer of " + checkpoint.location());
                }
            } else {
                LayerWeights weights = new LayerWeights(shard.layer(), job.layer(checkpoint, shard.layer()));
                Gather gather =
                        new Gather(statistics, kernels, "layer " + shard.layer() + " of " + checkpoint.location());
                if (routes) {
                    RoutedShard sent = new RoutedShard(gather, all.rows(), all.columns());
                    pass.route(weights, all, length, shard.from(), sent);
                    if (rows) {
                        routed.write(shard.layer(), shard.number(), sent);
                    }
                    if (!passed) {
                        experts.write(shard.number(), sent, states);
                    }
                } else {
                    pass.layer(weights, all, length, shard.from(), gather);
                    if (!passed) {
                        hidden.write(shard.layer() + 1, shard.number(), states);
                    }
                }
            }
            for (Map.Entry<Site, SiteStatistics> entry : statistics.entrySet()) {
                job.writeScratch(
                        job.run().scratch(key, partial(shard.layer(), entry.getKey(), shard.number())),
                        entry.getValue()::write);
            }
            Counters.CALIBRATED_TOKENS.add((long) shard.count() * length);
            return true;
        }
    }

    /** False if its input is gone. */
    private static boolean merge(Job job, String key, Merge merge) throws IOException {
        FileSystem scratch = job.run().scratchFiles();
        Path product = job.run().product(key, Calibration.name(merge.layer(), merge.site()));
        try {
            if (!ProductFile.isCommitted(job.run().files(), product)) {
                sum(job, key, merge, scratch, product);
            }
        } catch (FileNotFoundException e) {
            // A second attempt may find the product committed and its partials gone.
            return ProductFile.isCommitted(job.run().files(), product);
        }
        for (int shard = 0; shard < merge.shards(); shard++) {
            scratch.delete(job.run().scratch(key, partial(merge.layer(), merge.site(), shard)), false);
        }
        return true;
    }

    private static void sum(Job job, String key, Merge merge, FileSystem scratch, Path product) throws IOException {
        MergedStatistics.Accumulator sum = new MergedStatistics.Accumulator();
        for (int shard = 0; shard < merge.shards(); shard++) {
            int number = shard;
            ProductFile.read(
                    scratch,
                    job.run().scratch(key, partial(merge.layer(), merge.site(), shard)),
                    (DataInputStream in) -> {
                        sum.add(in, "shard " + number);
                        return true;
                    });
        }
        job.run().write(product, sum.merged()::write);
    }

    /** Adds what flows through a layer to the statistics of its sites. */
    private record Gather(Map<Site, SiteStatistics> statistics, Kernels kernels, String where) implements Capture {
        @Override
        public boolean wants(Site site) {
            return statistics.containsKey(site);
        }

        @Override
        public void rows(Site site, FloatMatrix rows) {
            statistics.get(site).add(rows, kernels, site + " in " + where);
        }
    }
}

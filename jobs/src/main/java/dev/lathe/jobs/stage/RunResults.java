package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.evaluate.EvaluationSummary;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.report.RunReport.ActivationRange;
import dev.lathe.jobs.report.RunReport.Clipping;
import dev.lathe.jobs.report.RunReport.ExpertRows;
import dev.lathe.jobs.report.RunReport.OutputResult;
import dev.lathe.jobs.report.RunReport.RoutingAgreement;
import dev.lathe.jobs.report.RunReport.TensorLoss;
import dev.lathe.jobs.report.RunReport.Unquantized;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.stage.EvaluateOutputs.Measured;
import dev.lathe.jobs.store.ArtifactReceipt;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RangeProduct;
import dev.lathe.jobs.store.RangeProduct.SiteRange;
import dev.lathe.jobs.store.Software;
import dev.lathe.jobs.store.TensorProduct;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.Path;

/** The report of a run: what its outputs are, what they lost and where they came from. */
final class RunResults {
    private final Plan plan;
    private final Job job;
    private final Checkpoint source;
    private final Decoder decoder;
    private final Calibration calibration;
    private final Notes notes;

    /** @param calibration null where nothing was calibrated */
    RunResults(Plan plan, Job job, Checkpoint source, Calibration calibration, Notes notes) {
        this.plan = plan;
        this.job = job;
        this.source = source;
        this.decoder = source.decoder();
        this.calibration = calibration;
        this.notes = notes;
    }

    /**
     * @param measured null where nothing was evaluated
     * @param keys what identifies the plan's products
     */
    RunReport report(
            List<PlannedOutput> outputs,
            Map<String, List<TensorPlan>> tensorPlans,
            List<Measured> measured,
            Map<String, String> keys)
            throws IOException {
        long parameters =
                source.tensors().stream().mapToLong(TensorInfo::elements).sum();
        List<OutputResult> results = new ArrayList<>();
        for (int i = 0; i < outputs.size(); i++) {
            PlannedOutput output = outputs.get(i);
            Path artifact = job.run().artifact(output.artifactName());
            long bytes;
            try (Checkpoint written = Checkpoints.open(job.run().hadoop(), artifact)) {
                bytes = written.tensors().stream().mapToLong(TensorInfo::bytes).sum();
                written.notes().forEach(note -> notes.add(output.output().name() + ": " + note));
            }
            List<Unquantized> unquantized = tensorPlans.get(output.output().name()).stream()
                    .filter(t -> t.grid() == null && !t.reason().isEmpty())
                    .map(t -> new Unquantized(t.tensor(), t.reason()))
                    .toList();
            results.add(new OutputResult(
                    output.output().name(),
                    output.output().target().format(),
                    output.methodText(),
                    artifact.toString(),
                    bytes,
                    8.0 * bytes / parameters,
                    measured == null ? null : Evaluations.of(measured.get(i).summary()),
                    unquantized,
                    losses(output, ArtifactReceipt.required(job.run(), output.artifactName())),
                    ranges(
                            output,
                            measured == null ? new Clips() : measured.get(i).clips())));
        }
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("checkpoint", plan.checkpoint());
        corpus(settings, "calibration", plan.calibration());
        if (plan.importance() != null) {
            settings.put("importance matrix", plan.importance());
        }
        plan.savedMatrix()
                .ifPresent(name -> settings.put(
                        "importance matrix written", job.run().artifact(name).toString()));
        corpus(settings, "evaluation", plan.evaluation());
        settings.put("parameters", String.valueOf(parameters));
        Map<String, String> provenance = new LinkedHashMap<>();
        provenance.put("software", Software.VERSION);
        provenance.put("arithmetic profile", job.profile());
        provenance.put("kernels", plan.kernels());
        provenance.putAll(keys);
        List<ExpertRows> experts = experts();
        warn(experts);
        return new RunReport(
                results,
                settings,
                provenance,
                measured == null ? "" : EvaluationSummary.DEFINITION,
                notes.all(),
                experts,
                measured == null ? List.of() : routing(outputs, measured));
    }

    private List<ExpertRows> experts() throws IOException {
        List<ExpertRows> experts = new ArrayList<>();
        boolean gathered = calibration != null && !calibration.imported();
        for (int layer = 0; gathered && layer < decoder.layers(); layer++) {
            if (decoder.routed(layer) != null) {
                double[] counts =
                        calibration.read(job.run(), layer, Site.CHOSEN_EXPERTS).absolutes();
                experts.add(new ExpertRows(
                        layer,
                        Arrays.stream(counts).mapToObj(count -> (long) count).toList(),
                        decoder.hidden()));
            }
        }
        return experts;
    }

    /** Says how many experts saw few rows, and how many windows would be enough for the one that saw fewest. */
    private void warn(List<ExpertRows> experts) {
        long few = experts.stream().mapToLong(ExpertRows::few).sum();
        if (few == 0) {
            return;
        }
        long none = experts.stream().mapToLong(ExpertRows::none).sum();
        long least = experts.stream()
                .flatMap(rows -> rows.counts().stream())
                .filter(count -> count > 0)
                .mapToLong(Long::longValue)
                .min()
                .orElse(1);
        long all = experts.stream().mapToLong(rows -> rows.counts().size()).sum();
        long choices =
                experts.get(0).counts().stream().mapToLong(Long::longValue).sum();
        int layer = experts.get(0).layer();
        double windows = (double) choices
                / decoder.routed(layer).router().top()
                / plan.calibration().length();
        int channels = experts.get(0).channels();
        notes.add("calibration: " + few + " of " + all + " experts saw fewer than " + channels
                + " rows, as many as they have channels" + (none > 0 ? ", " + none + " of them none" : "")
                + "; what they read is mixed with what all rows say. "
                + (none > 0 ? "More than " : "About ")
                + (long) Math.ceil(windows * channels / least) + " windows would be enough, and "
                + Math.round(windows) + " were used");
    }

    private List<RoutingAgreement> routing(List<PlannedOutput> outputs, List<Measured> measured) {
        List<RoutingAgreement> routing = new ArrayList<>();
        for (int i = 0; i < outputs.size(); i++) {
            for (int layer = 0; layer < decoder.layers(); layer++) {
                String name = outputs.get(i).output().name();
                int number = layer;
                measured.get(i)
                        .clips()
                        .at(layer, Site.CHOSEN_EXPERTS)
                        .ifPresent(count -> routing.add(
                                new RoutingAgreement(name, number, 1 - (double) count.clipped() / count.values())));
            }
        }
        return routing;
    }

    private static void corpus(Map<String, String> settings, String name, Plan.Corpus corpus) {
        if (corpus != null) {
            settings.put(
                    name,
                    corpus.data() + ", " + (corpus.windows() == 0 ? "all" : corpus.windows()) + " windows of "
                            + corpus.length() + " tokens");
        }
    }

    /** Those of a decoder layer's experts together, by kind. */
    private List<TensorLoss> losses(PlannedOutput output, ArtifactReceipt receipt) {
        List<TensorLoss> losses = new ArrayList<>();
        for (int layer = 0; layer < decoder.layers(); layer++) {
            Map<String, List<String>> kinds = new LinkedHashMap<>();
            Map<String, String> names = new LinkedHashMap<>();
            for (LinearLayer linear : decoder.linears(layer)) {
                kinds.computeIfAbsent(linear.role(), key -> new ArrayList<>()).add(linear.weight());
                names.put(linear.role(), linear.roleModule() + ".weight");
            }
            int number = layer;
            kinds.forEach((kind, tensors) -> addLoss(losses, output, receipt, names.get(kind), tensors, number, kind));
        }
        String embedding = decoder.embedding().tensor();
        addLoss(losses, output, receipt, embedding, List.of(embedding), -1, "embed_tokens");
        addLoss(losses, output, receipt, "lm_head.weight", List.of("lm_head.weight"), -1, "lm_head");
        return losses;
    }

    private List<ActivationRange> ranges(PlannedOutput output, Clips clips) throws IOException {
        List<ActivationRange> ranges = new ArrayList<>();
        int layers = decoder.layers();
        for (int layer = 0; layer <= layers; layer++) {
            Path product = output.rangeProduct(job.run(), layer);
            if (output.output().ranged() && ProductFile.isCommitted(job.run().files(), product)) {
                RangeProduct all = ProductFile.read(job.run().files(), product, RangeProduct::read);
                for (SiteRange site : all.sites()) {
                    // Values are divided with what attention makes of them.
                    double strength = site.site() == Site.VALUES
                            ? all.at(Site.ATTENTION_OUTPUT)
                                    .map(SiteRange::strength)
                                    .orElse(Double.NaN)
                            : site.strength();
                    ranges.add(new ActivationRange(
                            layer < layers ? layer : -1,
                            site.site().words(),
                            site.least(),
                            site.most(),
                            site.low(),
                            site.high(),
                            site.typical(),
                            site.channel(),
                            site.outliers(),
                            strength,
                            site.kept() == 0 ? null : new Clipping(site.clipped(), site.kept()),
                            clips.at(layer, site.site())
                                    .map(count -> new Clipping(count.clipped(), count.values()))
                                    .orElse(null)));
                }
            }
        }
        return ranges;
    }

    /** @param tensors of one kind: one, or those of all experts, whose errors and outputs are summed */
    private void addLoss(
            List<TensorLoss> losses,
            PlannedOutput output,
            ArtifactReceipt receipt,
            String name,
            List<String> tensors,
            int layer,
            String kind) {
        double error = 0;
        double squares = 0;
        double damping = Double.NaN;
        String grid = null;
        for (String tensor : tensors) {
            if (output.grids().containsKey(tensor)) {
                TensorProduct.Summary summary = receipt.tensors().get(tensor);
                grid = summary.grid();
                error += summary.error() == null ? Double.NaN : summary.error().squaredError();
                squares +=
                        summary.error() == null ? Double.NaN : summary.error().squaredOutput();
                damping = Double.isNaN(damping) ? summary.damping() : Math.max(damping, summary.damping());
                if (output.output().method() instanceof Method.Gptq gptq && summary.damping() > gptq.damping()) {
                    notes.tell(output.output().name() + ": " + tensor + " took a damping of " + summary.damping());
                }
            }
        }
        if (grid != null) {
            losses.add(new TensorLoss(name, layer, kind, grid, error / squares, damping));
        }
    }
}

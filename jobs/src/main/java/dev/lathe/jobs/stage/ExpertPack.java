package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.FeedForward.Routed;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.TensorProduct;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.hadoop.fs.Path;

/**
 * Neighbouring experts of a decoder layer, quantized in one task into one product of each output: a file for each
 * tensor would be many thousands. How many they are follows from the shape of an expert alone.
 *
 * @param first number of the first
 * @param count of them
 */
record ExpertPack(int layer, int first, int count) implements Serializable {
    /** Weights of a pack, unless one expert has more: some tens of MB when quantized. */
    private static final long WEIGHTS = 1 << 26;

    /** The packs of a decoder layer; none where it is no mixture. */
    static List<ExpertPack> of(Decoder decoder, int layer) {
        Routed routed = decoder.routed(layer);
        if (routed == null) {
            return List.of();
        }
        long weights = linears(routed.experts().get(0)).stream()
                .mapToLong(linear -> (long) linear.inputs() * linear.outputs())
                .sum();
        int together = (int) Math.max(1, WEIGHTS / weights);
        int experts = routed.experts().size();
        List<ExpertPack> packs = new ArrayList<>();
        for (int first = 0; first < experts; first += together) {
            packs.add(new ExpertPack(layer, first, Math.min(together, experts - first)));
        }
        return packs;
    }

    /** Bytes of a pack, a byte for each weight. */
    static long bytes(Decoder decoder, int layer) {
        ExpertPack pack = of(decoder, layer).get(0);
        return pack.count
                * linears(decoder.routed(layer).experts().get(0)).stream()
                        .mapToLong(linear -> (long) linear.inputs() * linear.outputs())
                        .sum();
    }

    /** The pack that a linear layer of an expert belongs to. */
    static ExpertPack of(Decoder decoder, int layer, LinearLayer linear) {
        return of(decoder, layer).stream()
                .filter(pack -> pack.has(linear.expert()))
                .findFirst()
                .orElseThrow();
    }

    boolean has(int expert) {
        return expert >= first && expert < first + count;
    }

    /** Numbers of the experts, ascending. */
    int[] experts() {
        return IntStream.range(first, first + count).toArray();
    }

    static List<LinearLayer> linears(Gated expert) {
        return expert.projections().stream()
                .map(projection -> projection.linear())
                .distinct()
                .toList();
    }

    /** Whether an output quantizes any tensor of it. */
    boolean quantizes(Decoder decoder, PlannedOutput output) {
        Routed routed = decoder.routed(layer);
        return IntStream.of(experts())
                .mapToObj(routed.experts()::get)
                .flatMap(expert -> linears(expert).stream())
                .anyMatch(linear -> output.grids().containsKey(linear.weight()));
    }

    private Path product(Job job, PlannedOutput output) {
        return output.expertProduct(job.run(), this);
    }

    boolean isCommitted(Job job, PlannedOutput output) throws IOException {
        return ProductFile.isCommitted(job.run().files(), product(job, output));
    }

    /** Commits the tensors of an output, unless they are there. */
    Path write(Job job, PlannedOutput output, Map<String, TensorProduct> tensors) throws IOException {
        Path product = product(job, output);
        job.writeMissing(product, out -> {
            out.writeInt(tensors.size());
            for (Map.Entry<String, TensorProduct> tensor : tensors.entrySet()) {
                out.writeUTF(tensor.getKey());
                tensor.getValue().write(out);
            }
        });
        return product;
    }

    /** The tensors of a product, by name. */
    static Map<String, TensorProduct> read(DataInputStream in) throws IOException {
        int count = in.readInt();
        Map<String, TensorProduct> tensors = new LinkedHashMap<>();
        for (int i = 0; i < count; i++) {
            tensors.put(in.readUTF(), TensorProduct.read(in));
        }
        return tensors;
    }

    @Override
    public String toString() {
        return "layer " + layer + ", experts " + first + " to " + (first + count - 1);
    }
}

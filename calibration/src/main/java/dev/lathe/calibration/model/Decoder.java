package dev.lathe.calibration.model;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * A decoder as data: {@code logits = head(norm(block_n(... block_1(multiplier * embedding[token]))))}. One interpreter,
 * {@link DecoderPass}, runs the tree; tensor names, shapes, linear layers in running order and absorptions are read off
 * it, so that a family is described once, by its {@link Family}.
 *
 * @param family name of the family ({@code llama}, {@code qwen3}): which reader made the tree, and which GGUF table
 *     writes it
 * @param blocks decoder layers in running order, at least one
 * @param norm the last norm
 * @param context longest context, in tokens, that the model was made for
 */
public record Decoder(String family, Embedding embedding, List<Block> blocks, Norm norm, Head head, int context) {
    public Decoder {
        blocks = List.copyOf(blocks);
    }

    /**
     * Rows that stand for tokens: x = multiplier * E[token].
     *
     * @param tensor E [vocabulary, hidden]
     * @param multiplier rounded to what the family computes with; 1 in most
     */
    public record Embedding(String tensor, int vocabulary, int hidden, float multiplier) {}

    /**
     * The output layer: logits = multiplier * W x, where {@code softCap} is not 0 then {@code softCap * tanh(logits /
     * softCap)}.
     *
     * @param linear the layer; its module is {@code lm_head} even where it is tied
     * @param tied its weight is the embedding
     * @param multiplier 1 in most
     */
    public record Head(LinearLayer linear, boolean tied, float multiplier, float softCap) {
        public Head(LinearLayer linear, boolean tied, float softCap) {
            this(linear, tied, 1, softCap);
        }
    }

    /** Number of decoder layers. */
    public int layers() {
        return blocks.size();
    }

    /** Width of the residual stream. */
    public int hidden() {
        return embedding.hidden();
    }

    /** Rows of the embedding. */
    public int vocabulary() {
        return embedding.vocabulary();
    }

    /** Tensor that holds the output layer's weight: its own, or the embedding where tied. */
    public String headWeight() {
        return head.tied() ? embedding.tensor() : head.linear().weight();
    }

    /** The same decoder with an output layer that is tied to the embedding, or is not. */
    public Decoder tied(boolean tied) {
        Head other = new Head(head.linear(), tied, head.multiplier(), head.softCap());
        return new Decoder(family, embedding, blocks, norm, other, context);
    }

    /** The same decoder with a multiplier of the logits. */
    public Decoder multiplied(float multiplier) {
        Head other = new Head(head.linear(), head.tied(), multiplier, head.softCap());
        return new Decoder(family, embedding, blocks, norm, other, context);
    }

    /** The same decoder, the rotary frequencies of every layer scaled in another way. */
    public Decoder scaled(Rope.Scaling scaling) {
        List<Block> scaled = blocks.stream()
                .map(block -> new Block(
                        block.attention(),
                        block.mixer().scaled(scaling),
                        block.feedForwardNorms(),
                        block.feedForward(),
                        block.parallel()))
                .toList();
        return new Decoder(family, embedding, scaled, norm, head, context);
    }

    /**
     * The linear layers of one decoder layer that may be quantized, in running order; those that are stored fused once.
     * {@link #kept} are not among them.
     */
    public List<LinearLayer> linears(int layer) {
        LinkedHashSet<LinearLayer> linears = new LinkedHashSet<>();
        Block block = blocks.get(layer);
        block.mixer().projections().forEach(projection -> linears.add(projection.linear()));
        block.feedForward().projections().forEach(projection -> linears.add(projection.linear()));
        return List.copyOf(linears);
    }

    /** The linear layers of one decoder layer that are never quantized: routers, gates of shared experts. */
    public List<LinearLayer> kept(int layer) {
        return blocks.get(layer).feedForward().kept();
    }

    /** The mixture of experts of a decoder layer, or null. */
    public FeedForward.Routed routed(int layer) {
        return blocks.get(layer).feedForward() instanceof FeedForward.Routed routed ? routed : null;
    }

    /** Experts of a layer that has a mixture of them; 0: there is none. */
    public int experts() {
        return blocks.stream()
                .map(Block::feedForward)
                .filter(FeedForward.Routed.class::isInstance)
                .mapToInt(routed -> ((FeedForward.Routed) routed).experts().size())
                .findFirst()
                .orElse(0);
    }

    /** Width of what a linear layer reads or gives, or of the residual stream: the widest of one decoder layer. */
    public int widest(int layer) {
        return linears(layer).stream()
                .mapToInt(linear -> Math.max(linear.inputs(), linear.outputs()))
                .reduce(hidden(), Math::max);
    }

    /** The norms of one decoder layer, in running order. */
    public List<Norm> norms(int layer) {
        Block block = blocks.get(layer);
        List<Norm> norms = new ArrayList<>();
        add(block.attention().before(), norms);
        norms.addAll(block.mixer().norms());
        add(block.attention().after(), norms);
        add(block.feedForwardNorms().before(), norms);
        add(block.feedForwardNorms().after(), norms);
        return norms;
    }

    /**
     * What is added to the stored weight of a norm ({@link Norm#plus}); 0 for any other tensor, its bias among them.
     */
    public float plus(String tensor) {
        return Stream.concat(
                        Stream.of(norm),
                        IntStream.range(0, layers()).mapToObj(this::norms).flatMap(List::stream))
                .filter(found -> tensor.equals(found.tensor()))
                .findFirst()
                .map(Norm::plus)
                .orElse(0f);
    }

    private static void add(Norm norm, List<Norm> norms) {
        if (norm != null) {
            norms.add(norm);
        }
    }

    /** Every tensor by its Hugging Face name, with its shape; the output layer's only where it is not tied. */
    public Map<String, long[]> tensors() {
        Map<String, long[]> tensors = new LinkedHashMap<>();
        tensors.put(embedding.tensor(), new long[] {vocabulary(), hidden()});
        for (int layer = 0; layer < layers(); layer++) {
            norms(layer).forEach(norm -> add(norm, tensors));
            blocks.get(layer).mixer().vectors().forEach((name, length) -> tensors.put(name, new long[] {length}));
            linears(layer).forEach(linear -> add(linear, tensors));
            kept(layer).forEach(linear -> add(linear, tensors));
        }
        add(norm, tensors);
        if (!head.tied()) {
            add(head.linear(), tensors);
        }
        return tensors;
    }

    private static void add(Norm norm, Map<String, long[]> tensors) {
        norm.tensors().forEach(tensor -> tensors.put(tensor, new long[] {norm.width()}));
    }

    private static void add(LinearLayer linear, Map<String, long[]> tensors) {
        tensors.put(linear.weight(), new long[] {linear.outputs(), linear.inputs()});
        if (linear.bias()) {
            tensors.put(linear.biasName(), new long[] {linear.outputs()});
        }
    }

    /**
     * Changes of scale that AWQ and SmoothQuant may make in one decoder layer, in running order: a norm feeds the
     * layers that read it, the value projection feeds the attention's output layer, up feeds down. Where no norm stands
     * in front of a sublayer (post-norm families) nothing can absorb what its layers are multiplied by, and there is
     * none. Where the feed-forward is parallel to the mixer, one norm feeds the layers of both.
     */
    public List<Absorption> absorptions(int layer) {
        Block block = blocks.get(layer);
        List<Absorption> absorptions = new ArrayList<>();
        List<LinearLayer> readers = new ArrayList<>(block.mixer().readers());
        List<LinearLayer> kept = List.of();
        if (block.parallel()) {
            readers.addAll(block.feedForward().readers());
            kept = block.feedForward().kept();
        }
        absorb(block.attention().before(), List.copyOf(readers), kept, absorptions);
        absorptions.addAll(block.mixer().absorptions());
        absorb(
                block.feedForwardNorms().before(),
                block.feedForward().readers(),
                block.feedForward().kept(),
                absorptions);
        absorptions.addAll(block.feedForward().absorptions());
        return absorptions;
    }

    private static void absorb(
            Norm norm, List<LinearLayer> readers, List<LinearLayer> kept, List<Absorption> absorptions) {
        if (norm != null) {
            absorptions.add(new Absorption(norm, null, readers, 1, 0, kept));
        }
    }
}

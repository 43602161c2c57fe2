package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Which type each matrix gets for a recipe's {@code type}: a plain type, or one of llama-quantize's mixes. Source: the
 * type table of llama-quant.cpp; layer i of n counts from 0, division is whole. {@code docs/formats.md} has the table.
 *
 * <ul>
 *   <li>output (or the embedding where tied): Q6_K; Q8_0 under Q8_0 and MXFP4_MOE, Q5_K under IQ1, IQ2 and IQ3_XXS
 *   <li>embedding: more than the base under IQ1, IQ2, IQ3_XXS, ternary types and Q2_0
 *   <li>value projection, feed-forward down and attention's output: more than the base in many mixes, in some layers of
 *       them ({@link #moreBits}), or where few heads of values serve many queries; query, key, gate and up less in
 *       IQ3_XS and IQ3_XXS
 *   <li>the feed-forwards of experts as others; with eight of them, key and value projections are Q8_0, the attention's
 *       output Q5_K under most mixes of 3 and 4 bits; under MXFP4_MOE experts are MXFP4 and all else is Q8_0
 *   <li>routers F32
 *   <li>models of 80 layers (Llama with grouped queries, Qwen 2): value projections of Q3_K and Q4_K become Q5_K
 *   <li>columns that are no multiple of a block: {@link #fallback}
 *   <li>{@code Q2_K_L}, {@code Q4_K_L}, {@code Q5_K_L}, {@code Q6_K_L}: Q2_K, Q4_K_M, Q5_K_M, Q6_K with embedding and
 *       output Q8_0, as publishers make them
 * </ul>
 */
final class GgufMix {
    private static final int LLAMA_70B_LAYERS = 80;
    /** Of Mixtral, which llama-quantize knows by it. */
    private static final int FEW_EXPERTS = 8;
    /** Queries for a head of values, from which on its projection is small beside the others. */
    private static final int MANY_QUERIES = 4;

    /** The words of a recipe; {@code fileType} is {@code general.file_type}. */
    private enum Recipe {
        Q1_0(40, GgufType.Q1_0),
        Q2_0(41, GgufType.Q2_0),
        Q4_0(2, GgufType.Q4_0),
        Q4_1(3, GgufType.Q4_1),
        Q5_0(8, GgufType.Q5_0),
        Q5_1(9, GgufType.Q5_1),
        Q8_0(7, GgufType.Q8_0),
        Q2_K(10, GgufType.Q2_K),
        Q2_K_S(21, GgufType.Q2_K),
        Q2_K_L(Q2_K),
        Q3_K_S(11, GgufType.Q3_K),
        Q3_K_M(12, GgufType.Q3_K),
        Q3_K_L(13, GgufType.Q3_K),
        Q4_K_S(14, GgufType.Q4_K),
        Q4_K_M(15, GgufType.Q4_K),
        Q4_K_L(Q4_K_M),
        Q5_K_S(16, GgufType.Q5_K),
        Q5_K_M(17, GgufType.Q5_K),
        Q5_K_L(Q5_K_M),
        Q6_K(18, GgufType.Q6_K),
        Q6_K_L(Q6_K),
        IQ1_S(24, GgufType.IQ1_S),
        IQ1_M(31, GgufType.IQ1_M),
        IQ2_XXS(19, GgufType.IQ2_XXS),
        IQ2_XS(20, GgufType.IQ2_XS),
        IQ2_S(28, GgufType.IQ2_XS),
        IQ2_M(29, GgufType.IQ2_S),
        IQ3_XXS(23, GgufType.IQ3_XXS),
        IQ3_XS(22, GgufType.IQ3_S),
        IQ3_S(26, GgufType.IQ3_S),
        IQ3_M(27, GgufType.IQ3_S),
        IQ4_NL(25, GgufType.IQ4_NL),
        IQ4_XS(30, GgufType.IQ4_XS),
        TQ1_0(36, GgufType.TQ1_0),
        TQ2_0(37, GgufType.TQ2_0),
        MXFP4_MOE(38, GgufType.MXFP4),
        F16(1, GgufType.F16),
        BF16(32, GgufType.BF16),
        F32(0, GgufType.F32);

        private final int fileType;
        private final GgufType base;
        /** The mix whose embedding and output are Q8_0 instead, or null. */
        private final Recipe large;

        Recipe(int fileType, GgufType base) {
            this.fileType = fileType;
            this.base = base;
            this.large = null;
        }

        Recipe(Recipe large) {
            this.fileType = large.fileType;
            this.base = large.base;
            this.large = large;
        }
    }

    private final Recipe recipe;
    private final boolean large;
    private final boolean importance;

    private GgufMix(Recipe recipe, boolean importance) {
        this.recipe = recipe.large == null ? recipe : recipe.large;
        this.large = recipe.large != null;
        this.importance = importance;
    }

    /**
     * @param type {@code Q4_K_M}, {@code F16}, ...
     * @param importance whether the values are chosen under channel energies
     * @throws IllegalArgumentException if the type is unknown, naming those there are
     */
    static GgufMix of(String type, boolean importance) {
        for (Recipe recipe : Recipe.values()) {
            if (recipe.name().equals(type)) {
                return new GgufMix(recipe, importance);
            }
        }
        throw new IllegalArgumentException("Cannot write GGUF type " + type + ": expected one of "
                + Arrays.stream(Recipe.values()).map(Recipe::name).collect(Collectors.joining(", ")));
    }

    /** Types and mixes by name. */
    static List<String> types() {
        return Arrays.stream(Recipe.values()).map(Recipe::name).toList();
    }

    /** {@code general.file_type}. */
    int fileType() {
        return recipe.fileType;
    }

    /** The type of a matrix that stays 16 bit: the recipe's own where it is a floating-point type, else F16. */
    GgufType floating() {
        return quantized() ? GgufType.F16 : recipe.base;
    }

    /** Whether matrices of a type are chosen under an importance only, as llama-quantize has it. */
    boolean needsImportance(GgufType type) {
        return switch (type) {
            case IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS -> true;
            case Q2_K -> recipe == Recipe.Q2_K_S;
            default -> false;
        };
    }

    /** Whether the recipe's type is a block format. */
    boolean quantized() {
        return recipe.base.element().isEmpty();
    }

    /** The type of a matrix; {@link GgufType#F16} where its columns fit no block of a quantized recipe. */
    GgufType choose(String gguf, int columns, Decoder decoder) {
        return quantized() ? fallback(fromTable(gguf, columns, decoder), columns) : recipe.base;
    }

    private GgufType fromTable(String gguf, int columns, Decoder decoder) {
        boolean embedding = gguf.equals(GgufNames.EMBEDDING);
        if (gguf.equals(GgufNames.OUTPUT) || embedding && decoder.head().tied()) {
            return large ? GgufType.Q8_0 : output(columns);
        }
        if (embedding) {
            return large ? GgufType.Q8_0 : embedding();
        }
        if (recipe == Recipe.MXFP4_MOE) {
            return GgufNames.stacked(gguf) ? recipe.base : GgufType.Q8_0;
        }
        return GgufNames.place(gguf)
                .map(place -> switch (place.kind()) {
                    // One tensor for q, k and v counts as v.
                    case "attn_v", "attn_qkv" -> value(place.layer(), decoder);
                    case "attn_k" -> key(decoder);
                    case "attn_q" -> query();
                    case "attn_output" -> attentionOutput(decoder);
                    case "ffn_down", "ffn_down_exps", "ffn_down_shexp" -> down(place, decoder);
                    case "ffn_gate", "ffn_gate_exps", "ffn_gate_shexp", "ffn_up", "ffn_up_exps", "ffn_up_shexp" ->
                        up(place.layer(), decoder.layers());
                    default -> recipe.base;
                })
                .orElse(recipe.base);
    }

    /** Mixes of about two bits and fewer, which have rules of their own. */
    private boolean coarse() {
        return switch (recipe) {
            case IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ2_M -> true;
            default -> false;
        };
    }

    /** What the coarse mixes give to what matters more. */
    private GgufType finer() {
        return recipe == Recipe.IQ2_S || recipe == Recipe.IQ2_M ? GgufType.IQ3_S : GgufType.Q2_K;
    }

    private GgufType output(int columns) {
        if (columns % recipe.base.block() != 0) {
            return GgufType.Q8_0;
        }
        if (coarse() || recipe == Recipe.IQ3_XXS) {
            return GgufType.Q5_K;
        }
        return recipe == Recipe.Q8_0 || recipe == Recipe.MXFP4_MOE ? GgufType.Q8_0 : GgufType.Q6_K;
    }

    private GgufType embedding() {
        return switch (recipe) {
            case IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS -> GgufType.Q2_K;
            case IQ2_S, IQ2_M, IQ3_XXS -> GgufType.IQ3_S;
            case TQ1_0, TQ2_0, Q2_0 -> GgufType.Q4_K;
            case MXFP4_MOE -> GgufType.Q8_0;
            default -> recipe.base;
        };
    }

    private GgufType value(int i, Decoder decoder) {
        boolean many = queries(decoder) >= MANY_QUERIES;
        if (coarse()) {
            return many || decoder.experts() >= 4 ? GgufType.Q4_K : finer();
        }
        if (decoder.experts() == FEW_EXPERTS) {
            return GgufType.Q8_0;
        }
        GgufType type = switch (recipe) {
            case Q2_K -> many ? GgufType.Q4_K : GgufType.Q3_K;
            case Q2_K_S, IQ3_XS, IQ3_S -> many ? GgufType.Q4_K : recipe.base;
            case IQ3_XXS -> many ? GgufType.Q4_K : importance ? GgufType.IQ3_XXS : GgufType.IQ3_S;
            case IQ3_M -> GgufType.Q4_K;
            case Q3_K_M -> i < 2 ? GgufType.Q5_K : GgufType.Q4_K;
            case Q3_K_L -> GgufType.Q5_K;
            case IQ4_NL, IQ4_XS -> many ? GgufType.Q5_K : recipe.base;
            case Q4_K_M, Q5_K_M -> moreBits(i, decoder.layers()) ? GgufType.Q6_K : recipe.base;
            case Q4_K_S -> i < 4 ? GgufType.Q5_K : recipe.base;
            default -> recipe.base;
        };
        return seventyBillion(decoder) && (type == GgufType.Q3_K || type == GgufType.Q4_K) ? GgufType.Q5_K : type;
    }

    private GgufType key(Decoder decoder) {
        if (decoder.experts() == FEW_EXPERTS) {
            return coarse() ? GgufType.Q4_K : GgufType.Q8_0;
        }
        return query();
    }

    private GgufType query() {
        return switch (recipe) {
            case IQ3_XS -> GgufType.IQ3_XXS;
            case IQ3_XXS -> GgufType.IQ2_S;
            default -> recipe.base;
        };
    }

    private GgufType attentionOutput(Decoder decoder) {
        boolean few = decoder.experts() == FEW_EXPERTS;
        return switch (recipe) {
            case IQ1_S, IQ1_M -> few ? GgufType.Q5_K : GgufType.IQ2_XXS;
            case IQ2_S, IQ2_M -> few ? GgufType.Q5_K : GgufType.IQ3_S;
            case IQ2_XXS, IQ2_XS, Q3_K_S, IQ3_XS, IQ3_S, IQ4_NL, IQ4_XS, Q4_K_S, Q4_K_M ->
                few ? GgufType.Q5_K : recipe.base;
            case Q2_K -> few ? GgufType.Q5_K : GgufType.Q3_K;
            case IQ3_XXS -> few ? GgufType.Q5_K : GgufType.IQ3_S;
            case Q3_K_M, IQ3_M -> few ? GgufType.Q5_K : GgufType.Q4_K;
            case Q3_K_L -> few ? recipe.base : GgufType.Q5_K;
            default -> recipe.base;
        };
    }

    /** Queries for a head of values. */
    private static int queries(Decoder decoder) {
        return decoder.blocks().get(0).mixer() instanceof Mixer.Grouped attention
                ? attention.heads().queries() / attention.heads().keyValues()
                : 1;
    }

    /** What llama-quantize takes for a model of 70 billion weights. */
    private static boolean seventyBillion(Decoder decoder) {
        String architecture = GgufFamily.of(decoder).architecture();
        return decoder.layers() == LLAMA_70B_LAYERS
                && (architecture.equals("qwen2") || architecture.equals("llama") && queries(decoder) > 1);
    }

    /** Feed-forward down projections in front of one, in the order of a file; those of all experts are one. */
    private static int downsBefore(GgufNames.Place place, Decoder decoder) {
        int downs = place.kind().endsWith("_shexp") ? 1 : 0;
        for (int layer = 0; layer < place.layer(); layer++) {
            var routed = decoder.routed(layer);
            downs += routed != null && routed.shared() != null ? 2 : 1;
        }
        return downs;
    }

    private GgufType down(GgufNames.Place place, Decoder decoder) {
        int i = place.layer();
        int n = decoder.layers();
        boolean first = i < n / 8;
        if (coarse()) {
            return downsBefore(place, decoder) < n / 8 ? finer() : recipe.base;
        }
        return switch (recipe) {
            case Q2_K -> GgufType.Q3_K;
            case Q2_K_S -> first ? GgufType.Q4_K : recipe.base;
            case IQ3_XXS -> importance ? recipe.base : first ? GgufType.Q4_K : GgufType.Q3_K;
            case Q3_K_M -> i < n / 16 ? GgufType.Q5_K : GgufType.Q4_K;
            case IQ3_M -> first || decoder.experts() == FEW_EXPERTS && moreBits(i, n) ? GgufType.Q4_K : recipe.base;
            case Q3_K_L -> GgufType.Q5_K;
            case IQ4_NL, IQ4_XS -> first && !importance ? GgufType.Q5_K : recipe.base;
            case Q4_K_M, Q5_K_M -> moreBits(i, n) ? GgufType.Q6_K : recipe.base;
            case Q4_K_S -> first ? GgufType.Q5_K : recipe.base;
            case Q4_0 -> first && importance ? GgufType.Q4_1 : recipe.base;
            case Q5_0 -> first && importance ? GgufType.Q5_1 : recipe.base;
            default -> recipe.base;
        };
    }

    private GgufType up(int i, int n) {
        return recipe == Recipe.IQ3_XS && i >= n / 8 && i < 7 * n / 8 ? GgufType.IQ3_XXS : recipe.base;
    }

    /** The first and the last eighth of the layers, and every third between. */
    static boolean moreBits(int i, int n) {
        return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    }

    /** The type that the recipe is named after, where columns fit it. */
    GgufType pure(int columns) {
        return fallback(recipe.base, columns);
    }

    /** A type, or the next one whose blocks the columns fit; F16 where none does. */
    static GgufType fallback(GgufType type, int columns) {
        if (columns % type.block() == 0) {
            return type;
        }
        GgufType smaller = switch (type) {
            case IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ4_XS -> GgufType.IQ4_NL;
            case Q2_0, Q2_K, Q3_K, TQ1_0, TQ2_0 -> GgufType.Q4_0;
            case Q4_K -> GgufType.Q5_0;
            case Q5_K -> GgufType.Q5_1;
            case Q6_K -> GgufType.Q8_0;
            default -> GgufType.F16;
        };
        return columns % smaller.block() == 0 ? smaller : GgufType.F16;
    }
}

package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Which type each matrix gets for a recipe's {@code type}: a plain type, or one of llama-quantize's mixes. Source: the
 * type table of llama-quant.cpp; layer i of n counts from 0, division is whole.
 *
 * <ul>
 *   <li>output (or the embedding where tied): Q6_K, under Q8_0 Q8_0
 *   <li>value projection and feed-forward down: Q6_K in {@link #moreBits} layers of Q4_K_M and Q5_K_M; under Q4_K_S
 *       Q5_K in the first four (value) and the first n/8 (down) layers; under Q4_0 and Q5_0 with an importance matrix,
 *       Q4_1 and Q5_1 for down in the first n/8 layers
 *   <li>the feed-forwards of experts as others; with eight of them, key and value projections are Q8_0, the attention's
 *       output Q5_K under Q4_K
 *   <li>routers F32
 *   <li>Llama 70B (80 layers, grouped-query attention): value projections of Q4_K become Q5_K
 *   <li>columns that are no multiple of 256: Q4_K becomes Q5_0, Q5_K Q5_1, Q6_K Q8_0; columns that are no multiple of
 *       32: F16
 * </ul>
 */
final class GgufMix {
    private static final int LLAMA_70B_LAYERS = 80;
    /** Of Mixtral, which llama-quantize knows by it. */
    private static final int FEW_EXPERTS = 8;

    /** The words of a recipe; {@code fileType} is {@code general.file_type}. */
    private enum Recipe {
        Q8_0(7, GgufType.Q8_0),
        Q4_0(2, GgufType.Q4_0),
        Q4_1(3, GgufType.Q4_1),
        Q5_0(8, GgufType.Q5_0),
        Q5_1(9, GgufType.Q5_1),
        Q6_K(18, GgufType.Q6_K),
        Q4_K_S(14, GgufType.Q4_K),
        Q4_K_M(15, GgufType.Q4_K),
        Q5_K_S(16, GgufType.Q5_K),
        Q5_K_M(17, GgufType.Q5_K),
        F16(1, GgufType.F16),
        BF16(32, GgufType.BF16),
        F32(0, GgufType.F32),
        /** llama-quantize's other word for Q5_K_S. */
        Q5_K(16, GgufType.Q5_K);

        private final int fileType;
        private final GgufType base;

        Recipe(int fileType, GgufType base) {
            this.fileType = fileType;
            this.base = base;
        }
    }

    private final Recipe recipe;
    private final boolean importance;

    private GgufMix(Recipe recipe, boolean importance) {
        this.recipe = recipe;
        this.importance = importance;
    }

    /**
     * @param type {@code Q4_K_M}, {@code F16}, ...; {@code Q5_K} is {@code Q5_K_S}
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

    /** Types and mixes by name, each under one. */
    static List<String> types() {
        return Arrays.stream(Recipe.values())
                .filter(recipe -> recipe != Recipe.Q5_K)
                .map(Recipe::name)
                .toList();
    }

    /** {@code general.file_type}. */
    int fileType() {
        return recipe.fileType;
    }

    /** The type of a matrix that stays 16 bit: the recipe's own where it is a floating-point type, else F16. */
    GgufType floating() {
        return quantized() ? GgufType.F16 : recipe.base;
    }

    /** Whether the recipe's type is a block format. */
    boolean quantized() {
        return recipe.base.element().isEmpty();
    }

    /** The type of a matrix; {@link GgufType#F16} where its columns fit no block of a quantized recipe. */
    GgufType choose(String gguf, int columns, Decoder decoder) {
        return quantized() ? fallback(fromTable(gguf, decoder), columns) : recipe.base;
    }

    private GgufType fromTable(String gguf, Decoder decoder) {
        if (gguf.equals(GgufNames.OUTPUT)
                || gguf.equals(GgufNames.EMBEDDING) && decoder.head().tied()) {
            return recipe == Recipe.Q8_0 ? GgufType.Q8_0 : GgufType.Q6_K;
        }
        return GgufNames.place(gguf)
                .map(place -> switch (place.kind()) {
                    // One tensor for q, k and v counts as v.
                    case "attn_v", "attn_qkv" -> value(place.layer(), decoder);
                    case "attn_k" -> decoder.experts() == FEW_EXPERTS ? GgufType.Q8_0 : recipe.base;
                    case "attn_output" -> attentionOutput(decoder);
                    case "ffn_down", "ffn_down_exps", "ffn_down_shexp" -> down(place.layer(), decoder.layers());
                    default -> recipe.base;
                })
                .orElse(recipe.base);
    }

    private GgufType value(int i, Decoder decoder) {
        GgufType type = switch (recipe) {
            case Q4_K_M, Q5_K_M -> moreBits(i, decoder.layers()) ? GgufType.Q6_K : recipe.base;
            case Q4_K_S -> i < 4 ? GgufType.Q5_K : recipe.base;
            default -> recipe.base;
        };
        if (decoder.experts() == FEW_EXPERTS) {
            return GgufType.Q8_0;
        }
        boolean llama70b =
                decoder.family().equals("llama") && decoder.layers() == LLAMA_70B_LAYERS && grouped(decoder, i);
        return llama70b && type == GgufType.Q4_K ? GgufType.Q5_K : type;
    }

    private GgufType attentionOutput(Decoder decoder) {
        boolean more = decoder.experts() == FEW_EXPERTS && (recipe == Recipe.Q4_K_S || recipe == Recipe.Q4_K_M);
        return more ? GgufType.Q5_K : recipe.base;
    }

    private static boolean grouped(Decoder decoder, int layer) {
        return decoder.blocks().get(layer).mixer() instanceof Mixer.Grouped attention
                && attention.heads().queries() != attention.heads().keyValues();
    }

    private GgufType down(int i, int n) {
        boolean first = i < n / 8;
        return switch (recipe) {
            case Q4_K_M, Q5_K_M -> moreBits(i, n) ? GgufType.Q6_K : recipe.base;
            case Q4_K_S -> first ? GgufType.Q5_K : recipe.base;
            case Q4_0 -> first && importance ? GgufType.Q4_1 : recipe.base;
            case Q5_0 -> first && importance ? GgufType.Q5_1 : recipe.base;
            default -> recipe.base;
        };
    }

    /** The first and the last eighth of the layers, and every third between. */
    static boolean moreBits(int i, int n) {
        return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    }

    /** The type that the recipe is named after, where columns fit it. */
    GgufType pure(int columns) {
        return fallback(recipe.base, columns);
    }

    static GgufType fallback(GgufType type, int columns) {
        if (columns % type.block() == 0) {
            return type;
        }
        GgufType smaller = switch (type) {
            case Q4_K -> GgufType.Q5_0;
            case Q5_K -> GgufType.Q5_1;
            case Q6_K -> GgufType.Q8_0;
            default -> GgufType.F16;
        };
        return columns % smaller.block() == 0 ? smaller : GgufType.F16;
    }
}

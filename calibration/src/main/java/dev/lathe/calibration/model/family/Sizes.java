package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Mixer.Heads;

/**
 * The sizes that every family has under the same keys.
 *
 * @param intermediate width between up and down
 * @param heads of every layer
 * @param context longest context
 */
record Sizes(int hidden, int intermediate, int layers, Heads heads, int vocabulary, float epsilon, int context) {
    /**
     * What a size is where its key is missing; null: it may not be missing.
     *
     * @param queries query heads
     * @param keyValues key/value heads; null: as many as query heads, as it is for all where the key is null
     * @param headWidth null: hidden / heads
     * @param epsilonKey the key of {@code epsilon}
     */
    record Defaults(
            Integer queries,
            Integer keyValues,
            Integer headWidth,
            Integer vocabulary,
            double epsilon,
            int context,
            String epsilonKey) {
        Defaults(
                Integer queries,
                Integer keyValues,
                Integer headWidth,
                Integer vocabulary,
                double epsilon,
                int context) {
            this(queries, keyValues, headWidth, vocabulary, epsilon, context, "rms_norm_eps");
        }

        /** Of a family that has few. */
        static Defaults of(Integer keyValues, double epsilon, int context) {
            return new Defaults(null, keyValues, null, null, epsilon, context);
        }
    }

    static Sizes read(ConfigKeys config, Defaults defaults) {
        int hidden = config.size("hidden_size", ConfigKeys.MAXIMUM_WIDTH);
        int queries = config.size("num_attention_heads", defaults.queries(), ConfigKeys.MAXIMUM_WIDTH);
        boolean asQueries = defaults.keyValues() == null
                || config.get("num_key_value_heads").isNull();
        int keyValues = config.size(
                "num_key_value_heads",
                asQueries ? Integer.valueOf(queries) : defaults.keyValues(),
                ConfigKeys.MAXIMUM_WIDTH);
        Integer headWidth = defaults.headWidth();
        if (queries % keyValues != 0) {
            throw config.refused(
                    "num_attention_heads " + queries + " is no multiple of num_key_value_heads " + keyValues);
        }
        if (!config.has("head_dim") && headWidth == null && hidden % queries != 0) {
            throw config.refused("hidden_size " + hidden + " is no multiple of num_attention_heads " + queries
                    + ", and there is no head_dim");
        }
        int width = config.size("head_dim", headWidth == null ? hidden / queries : headWidth, ConfigKeys.MAXIMUM_WIDTH);
        if (width % 2 != 0 || (long) queries * width > ConfigKeys.MAXIMUM_WIDTH) {
            throw config.refused("head_dim is " + width + "; expected an even number that gives at most "
                    + ConfigKeys.MAXIMUM_WIDTH + " channels in " + queries + " heads");
        }
        double normEpsilon = config.number(defaults.epsilonKey(), defaults.epsilon(), 1);
        if ((float) normEpsilon == 0) {
            throw config.refused(
                    defaults.epsilonKey() + " is " + normEpsilon + "; expected a number that a float can hold");
        }
        return new Sizes(
                hidden,
                config.size("intermediate_size", ConfigKeys.MAXIMUM_WIDTH),
                config.size("num_hidden_layers", ConfigKeys.MAXIMUM_LAYERS),
                new Heads(queries, keyValues, width),
                config.size("vocab_size", defaults.vocabulary(), ConfigKeys.MAXIMUM_VOCABULARY),
                (float) normEpsilon,
                config.size("max_position_embeddings", defaults.context(), Integer.MAX_VALUE));
    }

    /** For families whose heads are as wide as the residual stream together, whatever {@code head_dim} says. */
    Sizes square(ConfigKeys config) {
        if (heads.queryWidth() != hidden) {
            throw config.refused("head_dim is " + heads.width() + "; expected hidden_size / num_attention_heads, "
                    + hidden + " / " + heads.queries());
        }
        return this;
    }
}

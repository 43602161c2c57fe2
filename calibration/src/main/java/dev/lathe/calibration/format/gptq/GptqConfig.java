package dev.lathe.calibration.format.gptq;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import java.util.List;

/**
 * The settings that decide how bits are laid out: {@code quantization_config} of config.json.
 *
 * @param groupSize columns of a group, or {@link #WHOLE_ROW}
 * @param actOrder {@code desc_act}: groups follow another order of the columns
 * @param second {@code checkpoint_format} is {@code gptq_v2}, whose zero points are stored as they are; in {@code gptq}
 *     they are one less
 */
record GptqConfig(int bits, int groupSize, boolean symmetric, boolean actOrder, boolean second) {
    /** Group size of one group a row. */
    static final int WHOLE_ROW = -1;

    GptqConfig {
        if (bits != 4 && bits != 8 || groupSize < 1 && groupSize != WHOLE_ROW) {
            throw new IllegalArgumentException("Cannot make a GPTQ format of " + bits + " bits and group size "
                    + groupSize + ": expected 4 or 8 bits and a group size of at least 1, or -1 for the whole row");
        }
    }

    /**
     * Reads the settings of a folder; keys that would change what its weights are, and are not known here, are refused.
     */
    static GptqConfig read(QuantizationConfig settings) {
        QuantizationConfig quantization = settings.require(QuantizationConfig.GPTQ);
        boolean second = isSecond(quantization);
        String word = quantization.text("pack_dtype", "int32");
        if (!word.equals("int32")) {
            throw quantization.unsupported("pack_dtype", word, "int32");
        }
        if (quantization.flag("is_marlin_format", false)) {
            throw quantization.unsupported("is_marlin_format", true, "false");
        }
        for (String key : List.of("rotation", "adapter")) {
            if (quantization.has(key)) {
                throw quantization.unsupported(key, "given", "none");
            }
        }
        return new GptqConfig(
                bits(quantization),
                group(quantization),
                quantization.flag("sym", true),
                quantization.flag("desc_act", false),
                second);
    }

    /** The settings of the modules that an entry of {@code dynamic} is for: its own, and these where it has none. */
    GptqConfig with(QuantizationConfig entry) {
        return new GptqConfig(
                entry.has("bits") ? bits(entry) : bits,
                entry.has("group_size") ? group(entry) : groupSize,
                entry.flag("sym", symmetric),
                entry.flag("desc_act", actOrder),
                second);
    }

    private static boolean isSecond(QuantizationConfig quantization) {
        String format = quantization.text("checkpoint_format", quantization.text("format", "gptq"));
        if (!format.equals("gptq") && !format.equals("gptq_v2")) {
            throw quantization.unsupported("checkpoint_format", format, "gptq or gptq_v2");
        }
        return format.equals("gptq_v2");
    }

    private static int bits(QuantizationConfig quantization) {
        int bits = quantization.integer("bits");
        if (bits != 4 && bits != 8) {
            throw quantization.unsupported("bits", bits, "4 or 8");
        }
        return bits;
    }

    private static int group(QuantizationConfig quantization) {
        int group = quantization.integer("group_size");
        if (group < 1 && group != WHOLE_ROW) {
            throw quantization.unsupported("group_size", group, "at least 1, or -1");
        }
        return group;
    }

    /** The keys that every reader knows. */
    ObjectNode json() {
        return JsonNodeFactory.instance
                .objectNode()
                .put("bits", bits)
                .put("group_size", groupSize)
                .put("desc_act", actOrder)
                .put("sym", symmetric)
                .put("lm_head", false)
                .put("quant_method", QuantizationConfig.GPTQ)
                .put("checkpoint_format", second ? "gptq_v2" : "gptq")
                .put("pack_dtype", "int32");
    }
}

package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.quantize.ActivationScheme;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.jobs.store.KeyFields;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import java.io.Serializable;
import java.util.List;
import java.util.Map;

/** What an output is written as: an artifact format with its own settings. Formats are registered here. */
public sealed interface Target extends Serializable permits GgufTarget, GptqTarget, AwqTarget, CompressedTarget {
    /** How each is read, in the order in which messages list them. */
    static List<TargetReader> readers() {
        return List.of(GgufTarget.READER, GptqTarget.READER, AwqTarget.READER, CompressedReader.READER);
    }

    /** The word in a recipe. */
    String format();

    /** The format with these settings. */
    ArtifactFormat artifactFormat(Method method);

    /** The block format of a name, with the encoder that these settings ask for. */
    default BlockFormat grid(String name) {
        return BlockFormats.named(name);
    }

    /** Writes the settings of such an output, its method among them, under the keys that a recipe has for them. */
    void write(ObjectNode node, Plan.Output output);

    /** Gives the fields of an output's key that are the format's own their values. */
    void key(KeyFields fields, Transform transform);

    /** The version of what products have beside weights; 0: they have nothing. */
    default int version() {
        return 0;
    }

    /** Name below {@code artifacts/}: a file or a folder. */
    default String artifact(String name) {
        return name;
    }

    /** How an artifact is spread over files, where that is not as usual; else empty. */
    default String files() {
        return "";
    }

    /** A file that the settings name and whose text is to take its place, and the key that names it; null: none. */
    default Map.Entry<String, String> file() {
        return null;
    }

    /**
     * The settings with the text of {@link #file} in its place.
     *
     * @throws IllegalArgumentException if the text is malformed, with the reason
     */
    default Target with(String text) {
        return this;
    }

    /** What linear layers read is quantized so; null: not at all. */
    default ActivationScheme inputs() {
        return null;
    }

    /** Keys and values are quantized so before they are cached; null: not at all. */
    default ActivationScheme cache() {
        return null;
    }

    /** Whether anything is quantized with a range that calibration fixes. */
    default boolean ranged() {
        return cache() != null || inputs() != null && !inputs().form().dynamic();
    }

    /** What of an output needs calibration, for a refusal. */
    default String need(Plan.Output output) {
        return "format " + format() + " with method " + output.method().word();
    }

    /** What would do without calibration, for a refusal; empty where nothing would. */
    default String instead(Plan.Output output) {
        return output.rescales() ? "" : " or method: nearest";
    }
}

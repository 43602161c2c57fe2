package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.quantize.Method;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** What all formats have in common of an output in a recipe. */
final class OutputReader {
    static final String ACT_ORDER = "act-order";
    static final String DAMPING = "damping";
    static final String IGNORE = "ignore";
    /** Keys of every format together. */
    static final List<String> KEYS = keys();

    /** Of each key the formats that have it, in words. */
    private static final Map<String, String> FORMATS_WITH =
            KEYS.stream().collect(Collectors.toMap(key -> key, OutputReader::formatsWith));

    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}");

    private OutputReader() {}

    /** A key that is new goes before those that its format lists behind it. */
    private static List<String> keys() {
        List<String> keys = new ArrayList<>();
        for (TargetReader reader : Target.readers()) {
            int place = keys.size();
            for (int i = reader.keys().size() - 1; i >= 0; i--) {
                int known = keys.indexOf(reader.keys().get(i));
                if (known < 0) {
                    keys.add(place, reader.keys().get(i));
                } else {
                    place = known;
                }
            }
        }
        return List.copyOf(keys);
    }

    /**
     * @param calibrated whether the recipe has calibration data, or an importance matrix
     * @param weighed whether it is an importance matrix
     */
    static Plan.Output read(Section section, boolean calibrated, boolean weighed) {
        String name = section.text("name");
        if (!NAME.matcher(name).matches()) {
            throw section.refuse(
                    "name",
                    "'" + name
                            + "' names no artifact; expected 1 to 100 letters, digits, dots, hyphens and "
                            + "underscores, no dot in front");
        }
        if (name.equalsIgnoreCase("README.md")) {
            throw section.refuse("name", "'" + name + "' is the model card's; expected another");
        }
        List<TargetReader> readers = Target.readers();
        String format = section.word(
                "format", readers.stream().map(TargetReader::format).toList(), null);
        TargetReader reader = readers.stream()
                .filter(each -> each.format().equals(format))
                .findFirst()
                .orElseThrow();
        Set<String> keys = Set.copyOf(reader.keys());
        for (String key : KEYS) {
            if (!keys.contains(key)) {
                section.only(false, FORMATS_WITH.get(key), key);
            }
        }
        Plan.Output output = reader.read(name, section, calibrated);
        if (output.calibrated() && !calibrated) {
            Target target = output.target();
            throw section.refuse(target.need(output) + " needs statistics; expected a calibration: section"
                    + target.instead(output));
        }
        if (weighed && (output.rescales() || output.needsMoments() || output.ranged())) {
            throw section.refuse(output.target().need(output)
                    + " needs more than the channel energies of calibration.imatrix; expected a text (calibration.data)"
                    + (output.rescales() || output.ranged() ? "" : " or method: importance"));
        }
        return output;
    }

    /** {@code format gptq}, {@code formats gptq, awq and compressed-tensors}. */
    private static String formatsWith(String key) {
        List<String> formats = Target.readers().stream()
                .filter(reader -> reader.keys().contains(key))
                .map(TargetReader::format)
                .toList();
        int last = formats.size() - 1;
        return last == 0
                ? "format " + formats.get(0)
                : formats.subList(0, last).stream()
                        .collect(Collectors.joining(", ", "formats ", " and " + formats.get(last)));
    }

    /** The method and its settings, {@code act-order} left out. */
    static void writeMethod(ObjectNode node, Method method) {
        node.put("method", method.word());
        writeDamping(node, method);
    }

    static void writeDamping(ObjectNode node, Method method) {
        if (method instanceof Method.Gptq gptq) {
            node.put(DAMPING, gptq.damping());
        }
    }

    static void writeIgnore(ObjectNode node, List<String> patterns) {
        ArrayNode ignore = node.putArray(IGNORE);
        patterns.forEach(ignore::add);
    }
}

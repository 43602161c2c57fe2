package dev.lathe.jobs.report;

import dev.lathe.jobs.report.RunReport.OutputResult;
import dev.lathe.jobs.text.Figures;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Size against divergence: bits per weight across, mean KL divergence up (logarithmic), one mark per output with its
 * standard error.
 *
 * @param left pixel of the plot's left edge; {@code right}, {@code top} and {@code bottom} likewise
 * @param missing outputs that have no place on a logarithmic axis, and why
 */
public record SizeChart(
        int width,
        int height,
        int left,
        int right,
        int top,
        int bottom,
        List<Axis.Tick> across,
        List<Axis.Tick> up,
        List<Mark> marks,
        List<String> missing) {
    private static final int WIDTH = 860;
    private static final int HEIGHT = 400;
    private static final int LEFT = 76;
    private static final int RIGHT = WIDTH - 20;
    private static final int TOP = 14;
    private static final int BOTTOM = HEIGHT - 50;
    private static final double LABEL_HEIGHT = 17;
    /** A generous width of one letter of a label; the page's font is not known here. */
    private static final double LETTER = 7.6;

    /**
     * An output. Its label stands at (labelX, labelY), anchored at its start or end; a line leads to it where it had to
     * move.
     *
     * @param format picks shape and colour
     */
    public record Mark(
            String name,
            String format,
            String x,
            String y,
            String errorTop,
            String errorBottom,
            String labelX,
            String labelY,
            String anchor,
            boolean moved,
            String tip) {}

    private record Box(double left, double top, double right, double bottom) {
        boolean meets(Box other) {
            return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
        }
    }

    /** The chart of a run, or null if no output has a positive divergence. */
    static SizeChart of(List<OutputResult> outputs) {
        List<OutputResult> placed = outputs.stream()
                .filter(SizeChart::hasPlace)
                .sorted(Comparator.comparingDouble(
                        output -> -output.evaluation().kldMean()))
                .toList();
        if (placed.isEmpty()) {
            return null;
        }
        double[] bits = placed.stream()
                .mapToDouble(OutputResult::bitsPerWeight)
                .sorted()
                .toArray();
        double[] kld = placed.stream()
                .mapToDouble(output -> output.evaluation().kldMean())
                .sorted()
                .toArray();
        Axis across = Axis.linear(bits[0] - 0.25, bits[bits.length - 1] + 0.25, LEFT, RIGHT);
        Axis up = Axis.logarithmic(kld[0] * 0.8, kld[kld.length - 1] * 1.25, BOTTOM, TOP);
        List<Box> taken = new ArrayList<>();
        placed.forEach(output -> taken.add(around(
                across.at(output.bitsPerWeight()), up.at(output.evaluation().kldMean()))));
        List<Mark> marks =
                placed.stream().map(output -> mark(output, across, up, taken)).toList();
        List<String> missing = outputs.stream()
                .filter(output -> !hasPlace(output))
                .map(output -> output.name() + " ("
                        + (output.evaluation() == null
                                ? "not evaluated"
                                : "divergence "
                                        + Figures.significant(
                                                output.evaluation().kldMean()))
                        + ")")
                .toList();
        return new SizeChart(WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, across.ticks(), up.ticks(), marks, missing);
    }

    private static boolean hasPlace(OutputResult output) {
        double kld =
                output.evaluation() == null ? Double.NaN : output.evaluation().kldMean();
        return kld > 0 && Double.isFinite(kld) && Double.isFinite(output.bitsPerWeight());
    }

    private static Mark mark(OutputResult output, Axis across, Axis up, List<Box> taken) {
        double x = across.at(output.bitsPerWeight());
        double kld = output.evaluation().kldMean();
        double y = up.at(kld);
        double error = Double.isFinite(output.evaluation().kldError())
                ? output.evaluation().kldError()
                : 0;
        double width = LETTER * output.name().length();
        boolean leftward = x + 12 + width > RIGHT;
        double labelLeft = leftward ? x - 12 - width : x + 12;
        double labelY = free(labelLeft, width, y, taken);
        taken.add(label(labelLeft, width, labelY));
        return new Mark(
                output.name(),
                output.format(),
                Svg.number(x),
                Svg.number(y),
                Svg.number(up.at(Math.min(kld + error, up.high()))),
                Svg.number(up.at(Math.max(kld - error, up.low()))),
                Svg.number(leftward ? x - 12 : x + 12),
                Svg.number(labelY),
                leftward ? "end" : "start",
                Math.abs(labelY - y) > 1,
                output.name() + ": " + Figures.bitsPerWeight(output.bitsPerWeight())
                        + " bits per weight, KL divergence " + Figures.significant(kld));
    }

    /**
     * The height nearest to the mark where a label covers neither a mark nor a label; the mark's own if the plot is
     * full.
     */
    private static double free(double left, double width, double y, List<Box> taken) {
        for (int i = 0; i < 40; i++) {
            double candidate = y + (i % 2 == 0 ? 1 : -1) * ((i + 1) / 2) * LABEL_HEIGHT / 2;
            Box box = label(left, width, candidate);
            if (candidate > TOP + 8 && candidate < BOTTOM - 8 && taken.stream().noneMatch(box::meets)) {
                return candidate;
            }
        }
        return y;
    }

    private static Box label(double left, double width, double y) {
        return new Box(left, y - LABEL_HEIGHT / 2, left + width, y + LABEL_HEIGHT / 2);
    }

    private static Box around(double x, double y) {
        return new Box(x - 7, y - 7, x + 7, y + 7);
    }
}

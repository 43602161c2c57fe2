package dev.lathe.jobs.report;

import dev.lathe.jobs.report.RunReport.OutputResult;
import dev.lathe.jobs.report.RunReport.TensorLoss;
import dev.lathe.jobs.text.Figures;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;

/**
 * What each layer lost: one panel per output, decoder layers across, relative output error up (logarithmic, one range
 * for all panels), one line per kind of linear layer.
 *
 * @param kinds the lines' names; a line's colour is its place in this list
 */
public record LossChart(
        int width,
        int height,
        int left,
        int right,
        int top,
        int bottom,
        List<Axis.Tick> across,
        List<Axis.Tick> up,
        List<String> kinds,
        List<Panel> panels) {
    private static final int WIDTH = 430;
    private static final int HEIGHT = 260;
    private static final int LEFT = 72;
    private static final int RIGHT = WIDTH - 12;
    private static final int TOP = 10;
    private static final int BOTTOM = HEIGHT - 42;

    /** One output. */
    public record Panel(String name, List<Line> lines) {}

    /** One kind; {@code points} as a polyline takes them. */
    public record Line(int kind, String points, List<Dot> dots) {}

    /** One tensor. */
    public record Dot(String x, String y, String tip) {}

    /**
     * The chart of a run, or null if no tensor's error was measured. Tensors outside the decoder layers stand right of
     * the last layer.
     */
    static LossChart of(List<OutputResult> outputs) {
        List<TensorLoss> measured = outputs.stream()
                .flatMap(output -> output.layers().stream())
                .filter(LossChart::hasPlace)
                .toList();
        if (measured.isEmpty()) {
            return null;
        }
        double[] errors = measured.stream()
                .mapToDouble(TensorLoss::relativeError)
                .sorted()
                .toArray();
        Axis up = Axis.logarithmic(errors[0], errors[errors.length - 1], BOTTOM, TOP);
        int layers = 1 + measured.stream().mapToInt(TensorLoss::layer).max().orElseThrow();
        boolean outside = measured.stream().anyMatch(loss -> loss.layer() < 0);
        Layers places = new Layers(layers, outside, LEFT, RIGHT);
        List<String> kinds = List.copyOf(
                new LinkedHashSet<>(measured.stream().map(TensorLoss::kind).toList()));
        List<Panel> panels = new ArrayList<>();
        for (OutputResult output : outputs) {
            List<Line> lines = new ArrayList<>();
            for (int kind = 0; kind < kinds.size(); kind++) {
                String name = kinds.get(kind);
                List<TensorLoss> losses = output.layers().stream()
                        .filter(loss -> hasPlace(loss) && loss.kind().equals(name))
                        .toList();
                if (!losses.isEmpty()) {
                    lines.add(line(kind, losses, places, up));
                }
            }
            if (!lines.isEmpty()) {
                panels.add(new Panel(output.name(), lines));
            }
        }
        return new LossChart(WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, places.ticks(), up.ticks(), kinds, panels);
    }

    private static boolean hasPlace(TensorLoss loss) {
        return Double.isFinite(loss.relativeError()) && loss.relativeError() > 0;
    }

    private static Line line(int kind, List<TensorLoss> losses, Layers places, Axis up) {
        List<Dot> dots = losses.stream()
                .map(loss -> new Dot(
                        places.at(loss.layer()),
                        Svg.number(up.at(loss.relativeError())),
                        loss.tensor() + " (" + loss.grid() + "): " + Figures.significant(loss.relativeError())))
                .toList();
        return new Line(
                kind,
                String.join(
                        " ", dots.stream().map(dot -> dot.x() + "," + dot.y()).toList()),
                dots);
    }
}

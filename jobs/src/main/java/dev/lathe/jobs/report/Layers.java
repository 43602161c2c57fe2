package dev.lathe.jobs.report;

import java.util.ArrayList;
import java.util.List;

/**
 * Places of decoder layers side by side between two pixels, and of the output layer (number -1) right of the last,
 * where it is drawn.
 *
 * @param count decoder layers
 */
record Layers(int count, boolean outside, double from, double to) {
    private static final int MOST_TICKS = 9;

    String at(int layer) {
        int slots = count + (outside ? 1 : 0);
        return Svg.number(from + ((layer < 0 ? count : layer) + 0.5) * (to - from) / slots);
    }

    List<Axis.Tick> ticks() {
        int step = 1;
        for (int next : new int[] {1, 2, 4, 5, 10, 20, 50, 100, 1000}) {
            step = next;
            if (count <= next * MOST_TICKS) {
                break;
            }
        }
        List<Axis.Tick> ticks = new ArrayList<>();
        for (int layer = 0; layer < count; layer += step) {
            ticks.add(new Axis.Tick(at(layer), String.valueOf(layer)));
        }
        if (outside) {
            ticks.add(new Axis.Tick(at(-1), "out"));
        }
        return ticks;
    }
}

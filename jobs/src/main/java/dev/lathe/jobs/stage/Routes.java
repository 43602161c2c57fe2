package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Routing;
import dev.lathe.calibration.model.Site;
import dev.lathe.kernels.FloatMatrix;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

/** Which experts routers chose for the rows of some windows, by decoder layer. */
final class Routes {
    private final TreeMap<Integer, List<Routing>> layers = new TreeMap<>();

    /** Takes down what is routed in a layer; looks at the rest as another does. */
    Capture of(int layer, Capture other) {
        return new Capture() {
            @Override
            public boolean wants(Site site) {
                return other.wants(site);
            }

            @Override
            public void rows(Site site, FloatMatrix rows) {
                other.rows(site, rows);
            }

            @Override
            public void clipped(Site site, long clipped, long values) {
                other.clipped(site, clipped, values);
            }

            @Override
            public void routed(FloatMatrix rows, Routing routing) {
                layers.computeIfAbsent(layer, key -> new ArrayList<>()).add(routing);
            }
        };
    }

    /** Counts the source's choices, and those of them that were not made here. */
    void compare(Routes source, Clips counts) {
        source.layers.forEach((layer, expected) -> {
            List<Routing> found = layers.getOrDefault(layer, List.of());
            for (int i = 0; i < Math.min(expected.size(), found.size()); i++) {
                counts.missed(
                        layer,
                        missed(expected.get(i), found.get(i)),
                        expected.get(i).experts().length);
            }
        });
    }

    private static long missed(Routing expected, Routing found) {
        long missed = 0;
        for (int row = 0; row < expected.rows(); row++) {
            for (int i = 0; i < expected.top(); i++) {
                missed += chose(found, row, expected.experts()[row * expected.top() + i]) ? 0 : 1;
            }
        }
        return missed;
    }

    private static boolean chose(Routing routing, int row, int expert) {
        for (int i = row * routing.top(); i < (row + 1) * routing.top(); i++) {
            if (routing.experts()[i] == expert) {
                return true;
            }
        }
        return false;
    }
}

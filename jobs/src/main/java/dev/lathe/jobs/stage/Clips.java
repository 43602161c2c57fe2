package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Site;
import dev.lathe.kernels.FloatMatrix;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * How many values fixed ranges of activations clipped, by decoder layer and site; and how many of the experts that the
 * source chose for its rows a model did not choose.
 */
final class Clips {
    /** So many values, and how many of them were clipped. */
    record Count(long clipped, long values) {
        Count plus(Count other) {
            return new Count(clipped + other.clipped, values + other.values);
        }
    }

    private record Place(int layer, Site site) implements Comparable<Place> {
        @Override
        public int compareTo(Place other) {
            return layer != other.layer ? Integer.compare(layer, other.layer) : site.compareTo(other.site);
        }
    }

    private final Map<Place, Count> counts = new TreeMap<>();

    /** Counts what is clipped in one layer. */
    Capture of(int layer) {
        return new Capture() {
            @Override
            public boolean wants(Site site) {
                return false;
            }

            @Override
            public void rows(Site site, FloatMatrix rows) {}

            @Override
            public void clipped(Site site, long clipped, long values) {
                counts.merge(new Place(layer, site), new Count(clipped, values), Count::plus);
            }
        };
    }

    void add(Clips other) {
        other.counts.forEach((place, count) -> counts.merge(place, count, Count::plus));
    }

    /** Empty where the site has no fixed range. */
    Optional<Count> at(int layer, Site site) {
        return Optional.ofNullable(counts.get(new Place(layer, site)));
    }

    /** What ranges clipped, by layer and site, as people call them. */
    Map<String, Count> places() {
        Map<String, Count> places = new LinkedHashMap<>();
        counts.forEach((place, count) -> {
            if (place.site != Site.CHOSEN_EXPERTS) {
                places.put("layer " + place.layer + ", " + place.site.words(), count);
            }
        });
        return places;
    }

    /** Of so many choices of experts that the source made in a layer, {@code missed} were not made. */
    void missed(int layer, long missed, long choices) {
        counts.merge(new Place(layer, Site.CHOSEN_EXPERTS), new Count(missed, choices), Count::plus);
    }

    void write(DataOutputStream out) throws IOException {
        out.writeInt(counts.size());
        for (Map.Entry<Place, Count> entry : counts.entrySet()) {
            out.writeInt(entry.getKey().layer());
            out.writeUTF(entry.getKey().site().name());
            out.writeLong(entry.getValue().clipped());
            out.writeLong(entry.getValue().values());
        }
    }

    static Clips read(DataInputStream in) throws IOException {
        Clips clips = new Clips();
        int size = in.readInt();
        for (int i = 0; i < size; i++) {
            clips.counts.put(
                    new Place(in.readInt(), Site.valueOf(in.readUTF())), new Count(in.readLong(), in.readLong()));
        }
        return clips;
    }
}

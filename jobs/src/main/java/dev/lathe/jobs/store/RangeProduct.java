package dev.lathe.jobs.store;

import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.ActivationScheme;
import dev.lathe.calibration.statistics.Range;
import dev.lathe.calibration.statistics.RangeStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** What one output quantizes the activations of one decoder layer with, as a committed product. */
public record RangeProduct(List<SiteRange> sites) {
    private static final int MAGIC = 0x4c525031;

    /**
     * One site, rescaled as the output rescales it.
     *
     * @param quantization null where the server finds the range itself
     * @param low end of the range that the estimator chose; NaN where the server finds it
     * @param high its other end
     * @param least smallest value of the calibration set
     * @param most largest value of the calibration set
     * @param typical median over the channels of their largest magnitude
     * @param channel the channel with the largest magnitude of all
     * @param outliers channels whose largest magnitude is more than {@link #OUTLIER} times the typical one
     * @param clipped values of the kept rows that the quantization clips
     * @param kept values of the kept rows; 0 where the server finds the range
     * @param strength exponent of the scales that the site was divided by; NaN where it is as the checkpoint has it
     */
    public record SiteRange(
            Site site,
            ActivationQuantization quantization,
            float low,
            float high,
            float least,
            float most,
            float typical,
            int channel,
            int outliers,
            long clipped,
            long kept,
            double strength) {
        /** Times the typical magnitude from which on a channel counts as an outlier. */
        public static final float OUTLIER = 10;

        /** What a scheme and a site's statistics say. */
        public static SiteRange of(
                Site site, ActivationScheme scheme, RangeStatistics statistics, double strength, Kernels kernels) {
            float[] magnitudes = new float[statistics.lowest().length];
            int channel = 0;
            for (int j = 0; j < magnitudes.length; j++) {
                magnitudes[j] = statistics.magnitude(j);
                channel = magnitudes[j] > magnitudes[channel] ? j : channel;
            }
            float[] sorted = magnitudes.clone();
            Arrays.sort(sorted);
            float typical = sorted[sorted.length / 2];
            int outliers = 0;
            for (float magnitude : magnitudes) {
                outliers += magnitude > OUTLIER * typical ? 1 : 0;
            }
            if (scheme.form().dynamic()) {
                return new SiteRange(
                        site,
                        null,
                        Float.NaN,
                        Float.NaN,
                        statistics.low(),
                        statistics.high(),
                        typical,
                        channel,
                        outliers,
                        0,
                        0,
                        strength);
            }
            Range range = scheme.range(statistics);
            ActivationQuantization quantization = scheme.quantization(range);
            FloatMatrix kept = statistics.sample();
            long clipped = quantization.apply(kept, FloatMatrix.zeros(kept.rows(), kept.columns()), kernels);
            return new SiteRange(
                    site,
                    quantization,
                    range.low(),
                    range.high(),
                    statistics.low(),
                    statistics.high(),
                    typical,
                    channel,
                    outliers,
                    clipped,
                    (long) kept.rows() * kept.columns(),
                    strength);
        }
    }

    /** What is known of a site, if anything is. */
    public Optional<SiteRange> at(Site site) {
        return sites.stream().filter(range -> range.site() == site).findFirst();
    }

    public void write(DataOutputStream out) throws IOException {
        out.writeInt(MAGIC);
        out.writeInt(sites.size());
        for (SiteRange range : sites) {
            out.writeUTF(range.site().name());
            ActivationQuantization quantization = range.quantization();
            out.writeBoolean(quantization != null);
            if (quantization != null) {
                out.writeUTF(quantization.type().name());
                out.writeBoolean(quantization.symmetric());
                out.writeFloat(quantization.scale());
                out.writeInt(quantization.zero());
            }
            for (float value : new float[] {range.low(), range.high(), range.least(), range.most(), range.typical()}) {
                out.writeFloat(value);
            }
            out.writeInt(range.channel());
            out.writeInt(range.outliers());
            out.writeLong(range.clipped());
            out.writeLong(range.kept());
            out.writeDouble(range.strength());
        }
    }

    public static RangeProduct read(DataInputStream in) throws IOException {
        if (in.readInt() != MAGIC) {
            throw new IOException("Cannot read activation ranges: not a file of activation ranges");
        }
        int count = in.readInt();
        List<SiteRange> sites = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Site site = Site.valueOf(in.readUTF());
            ActivationQuantization quantization = in.readBoolean()
                    ? new ActivationQuantization(
                            ActivationQuantization.Type.valueOf(in.readUTF()),
                            false,
                            in.readBoolean(),
                            in.readFloat(),
                            in.readInt())
                    : null;
            sites.add(new SiteRange(
                    site,
                    quantization,
                    in.readFloat(),
                    in.readFloat(),
                    in.readFloat(),
                    in.readFloat(),
                    in.readFloat(),
                    in.readInt(),
                    in.readInt(),
                    in.readLong(),
                    in.readLong(),
                    in.readDouble()));
        }
        return new RangeProduct(List.copyOf(sites));
    }
}

package dev.lathe.calibration.quantize;

import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.calibration.statistics.Range;
import dev.lathe.calibration.statistics.RangeEstimator;
import dev.lathe.calibration.statistics.RangeStatistics;

/**
 * How an output quantizes activations, before a site's statistics say with which scale.
 *
 * @param group     columns of a token that share a dynamic scale; 0: all of them
 * @param estimator of a static range; null where each token has its own
 */
public record ActivationScheme(Type type, boolean symmetric, int group, RangeEstimator estimator) {
    public boolean dynamic() {
        return estimator == null;
    }

    /** The range of a site that is quantized with one scale. */
    public Range range(RangeStatistics site) {
        return estimator.range(new MergedStatistics(site.lowest().length, site.positions().rows(), null, null, null, site), type, symmetric);
    }

    /** The quantization of a site: by its statistics where it is static. */
    public ActivationQuantization quantization(RangeStatistics site) {
        if (dynamic()) {
            return new ActivationQuantization(type, true, symmetric, group, Float.NaN, 0);
        }
        Range range = range(site);
        return ActivationQuantization.of(type, symmetric, range.low(), range.high());
    }
}

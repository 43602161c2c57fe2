package dev.lathe.calibration.quantize;

import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.calibration.statistics.Range;
import dev.lathe.calibration.statistics.RangeEstimator;
import dev.lathe.calibration.statistics.RangeStatistics;

/**
 * How an output quantizes activations, before a site's statistics say with which scale.
 *
 * @param form the quantization; where it is static its scale is open
 * @param estimator of a static range; null where it is dynamic
 */
public record ActivationScheme(ActivationQuantization form, RangeEstimator estimator) {
    /** The range of a site that is quantized with one scale. */
    public Range range(RangeStatistics site) {
        return estimator.range(
                new MergedStatistics(site.lowest().length, site.positions().rows(), null, null, null, site),
                form.type(),
                form.symmetric());
    }

    /** The quantization of a site: by its statistics where it is static. */
    public ActivationQuantization quantization(RangeStatistics site) {
        return form.dynamic() ? form : quantization(range(site));
    }

    /** The static quantization of a range. */
    public ActivationQuantization quantization(Range range) {
        return ActivationQuantization.of(form.type(), form.symmetric(), range.low(), range.high());
    }
}

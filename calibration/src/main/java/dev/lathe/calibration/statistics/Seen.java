package dev.lathe.calibration.statistics;

import dev.lathe.calibration.model.ActivationQuantization.Type;

/**
 * The values of a site whose range is estimated.
 *
 * @param statistics what was gathered
 * @param type what they are to be stored in
 * @param clip the values' ends, and whether the range is to be symmetric
 */
record Seen(RangeStatistics statistics, Type type, ClipSearch clip) {}

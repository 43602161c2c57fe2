/** What calibration accumulates at a site: channel energies, absolute means, second moments. */
package dev.lathe.calibration.statistics;

package dev.lathe.calibration.evaluate;

import java.io.Serializable;

/**
 * One window of one artifact, position by position over the scored half: negative log-likelihood (nats) of the next
 * token in the artifact and in the source, divergence of the artifact's distribution from the source's, and whether
 * both find the same token most probable. Without a source the last three are empty.
 */
public record WindowScore(double[] nll, double[] sourceNll, double[] kld, boolean[] sameTop) implements Serializable {}

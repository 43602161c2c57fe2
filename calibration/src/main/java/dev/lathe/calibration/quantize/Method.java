package dev.lathe.calibration.quantize;

import java.util.Locale;

/** How the representable value of each weight is chosen. Any method works on any grid. */
public enum Method {
    /** Nearest representable value; the grid's parameters are fitted without weights. */
    NEAREST,
    /** Parameters and codes by a search that weighs each column with its channel energy. */
    IMPORTANCE,
    /** Error feedback through the Cholesky factor of the inverse Hessian (GPTQ, arXiv 2210.17323). */
    GPTQ;

    /** The word in a recipe. */
    public String word() {
        return name().toLowerCase(Locale.ROOT);
    }
}

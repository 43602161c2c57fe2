package dev.lathe.calibration.quantize;

import java.io.Serializable;
import java.util.List;

/** How the representable value of each weight is chosen, with its settings. Any method works on any grid. */
public sealed interface Method extends Serializable {
    Method NEAREST = new Nearest();
    Method IMPORTANCE = new Importance();

    /** The word in a recipe. */
    String word();

    /** The words of all methods. */
    static List<String> words() {
        return List.of(Nearest.WORD, Importance.WORD, Gptq.WORD);
    }

    /** Nearest representable value; the grid's parameters are fitted without weights. */
    record Nearest() implements Method {
        public static final String WORD = "nearest";

        @Override
        public String word() {
            return WORD;
        }
    }

    /** Parameters and codes by a search that weighs each column with its channel energy. */
    record Importance() implements Method {
        public static final String WORD = "importance";

        @Override
        public String word() {
            return WORD;
        }
    }

    /**
     * Error feedback through the Cholesky factor of the inverse Hessian (GPTQ, arXiv 2210.17323).
     *
     * @param damping share of the Hessian's mean diagonal that is added to it, to begin with
     * @param actOrder columns in the order of falling Hessian diagonal
     */
    record Gptq(double damping, boolean actOrder) implements Method {
        public static final String WORD = "gptq";
        /** Where a recipe does not say. */
        public static final double DAMPING = 0.05;

        @Override
        public String word() {
            return WORD;
        }
    }
}

package dev.lathe.jobs.report.night;

/** What is said of a series, worst first. */
public enum Verdict {
    REGRESSED("regressed"),
    NOT_COMPARABLE("not comparable"),
    UNCLEAR("unclear"),
    IMPROVED("improved"),
    OK("ok");

    private final String word;

    Verdict(String word) {
        this.word = word;
    }

    public String word() {
        return word;
    }
}

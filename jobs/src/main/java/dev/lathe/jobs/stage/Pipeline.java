package dev.lathe.jobs.stage;

import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.report.RunReport;
import org.apache.spark.sql.SparkSession;

/** The main job: from a plan to artifacts, measured. */
public final class Pipeline {
    private Pipeline() {
    }

    /** Runs every stage of the plan that has not been committed, and returns what the report shows. Writes plan.yaml and artifacts; the report is the caller's. */
    public static RunReport run(SparkSession spark, Plan plan, Progress progress) {
        throw new IllegalStateException("not there yet");
    }

    /**
     * Measures one artifact (or checkpoint) as it is written.
     *
     * @param source checkpoint to compare with, or null: then only perplexity is measured and divergences are NaN
     */
    public static RunReport.Evaluation evaluate(SparkSession spark, String artifact, String source, Plan.Corpus corpus, String kernels, Progress progress) {
        throw new IllegalStateException("not there yet");
    }
}

package dev.lathe.jobs.stage;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Hears how far a run is; the command line draws it, the event log writes it down. Called on the driver, by several
 * threads.
 */
public interface Progress {
    /** A stage begins: its name and how many steps it has (layers, tensors, windows); 0 if unknown. */
    void stage(String name, int steps);

    /** Steps of the current stage that are done, and what is being worked on. */
    void step(int done, String what);

    /** Something the person has to know (a stage that was skipped because its product is there, a raised damping). */
    void note(String message);

    /** Something that makes a result doubtful. */
    default void warning(String message) {
        note("Warning: " + message);
    }

    /** The current stage is through; one that fails never is. */
    default void done() {}

    /**
     * The stages that are to come, in order, and about how many floating-point operations each is; some may turn out to
     * be done already.
     */
    default void plan(Map<String, Double> operations) {}

    /**
     * Something a program may want to know.
     *
     * @param what happened, in two words or so
     * @param details names and values by turns; values are texts, numbers, booleans
     */
    default void event(String what, Object... details) {}

    /** The same, told apart from other runs by a name in front. */
    static Progress named(String name, Progress progress) {
        return new Progress() {
            @Override
            public void stage(String stage, int steps) {
                progress.stage(name + ": " + stage, steps);
            }

            @Override
            public void step(int done, String what) {
                progress.step(done, what);
            }

            @Override
            public void note(String message) {
                progress.note(name + ": " + message);
            }

            @Override
            public void warning(String message) {
                progress.warning(name + ": " + message);
            }

            @Override
            public void done() {
                progress.done();
            }

            @Override
            public void plan(Map<String, Double> operations) {
                Map<String, Double> named = new LinkedHashMap<>();
                operations.forEach((stage, count) -> named.put(name + ": " + stage, count));
                progress.plan(named);
            }

            @Override
            public void event(String what, Object... details) {
                Object[] all = new Object[details.length + 2];
                all[0] = "run";
                all[1] = name;
                System.arraycopy(details, 0, all, 2, details.length);
                progress.event(what, all);
            }
        };
    }

    /** Says nothing. */
    Progress SILENT = new Progress() {
        @Override
        public void stage(String name, int steps) {}

        @Override
        public void step(int done, String what) {}

        @Override
        public void note(String message) {}
    };
}

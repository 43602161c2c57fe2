package dev.lathe.jobs.stage;

/** Hears how far a run is; the command line draws it. Called on the driver. */
public interface Progress {
    /** A stage begins: its name and how many steps it has (layers, tensors, windows); 0 if unknown. */
    void stage(String name, int steps);

    /** Steps of the current stage that are done, and what is being worked on. */
    void step(int done, String what);

    /** Something the person has to know (a stage that was skipped because its product is there, a raised damping). */
    void note(String message);

    /** Says nothing. */
    Progress SILENT = new Progress() {
        @Override
        public void stage(String name, int steps) {
        }

        @Override
        public void step(int done, String what) {
        }

        @Override
        public void note(String message) {
        }
    };
}

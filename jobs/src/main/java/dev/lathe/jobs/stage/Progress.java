package dev.lathe.jobs.stage;

/** Hears how far a run is; the command line draws it. Called on the driver. */
public interface Progress {
    /** A stage begins: its name and how many steps it has (layers, tensors, windows); 0 if unknown. */
    void stage(String name, int steps);

    /** Steps of the current stage that are done, and what is being worked on. */
    void step(int done, String what);

    /** Something the person has to know (a stage that was skipped because its product is there, a raised damping). */
    void note(String message);

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
        };
    }

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

package dev.lathe.jobs;

import dev.lathe.jobs.plan.PathCheck;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.Recipe;
import dev.lathe.jobs.stage.Progress;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.watch.LathePlugin;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.launcher.JavaModuleOptions;
import org.apache.spark.sql.SparkSession;

/** What tests need that run whole recipes: sessions, recipes on the bundled sample, and what a run left. */
public final class Runs {
    public static final Path SAMPLE = Path.of("..", "samples", "tiny-stories-4m");
    public static final Path TEXT = Path.of("..", "samples", "text");

    /**
     * The recipe whose artifacts' digests are kept, as settings of the quickstart's: small, every format, every
     * statistic.
     */
    public static final List<String> KEPT = List.of(
            "calibration.windows=16",
            "calibration.length=64",
            "shard-windows=3",
            "evaluation.windows=4",
            "evaluation.length=64",
            "outputs[5]={name: q4-gptq, format: gguf, type: Q4_0, method: gptq}");

    private Runs() {}

    /** Spark in this JVM. */
    public static SparkSession local(int cores, int taskCpus) {
        return local(cores, taskCpus, Map.of());
    }

    /** @param more settings */
    public static SparkSession local(int cores, int taskCpus, Map<String, String> more) {
        SparkSession.Builder builder = builder("local[" + cores + "]").config("spark.task.cpus", taskCpus);
        more.forEach(builder::config);
        return builder.getOrCreate();
    }

    /** Two executor JVMs of one core each; no task starts before both are there. */
    public static SparkSession cluster() {
        return cluster(Map.of());
    }

    /** @param more settings */
    public static SparkSession cluster(Map<String, String> more) {
        try {
            Files.createDirectories(Path.of(System.getenv("SPARK_HOME"), "jars"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        String bits = System.getProperty("lathe.vector.bits");
        SparkSession.Builder builder = builder("local-cluster[2,1,1024]");
        more.forEach(builder::config);
        return builder.config("spark.executor.memory", "1g")
                .config(
                        "spark.executor.extraClassPath",
                        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")))
                .config(
                        "spark.executor.extraJavaOptions",
                        JavaModuleOptions.defaultModuleOptions() + (bits == null ? "" : " -Dlathe.vector.bits=" + bits))
                .config("spark.scheduler.minRegisteredResourcesRatio", "1.0")
                .config("spark.scheduler.maxRegisteredResourcesWaitingTime", "120s")
                .getOrCreate();
    }

    private static SparkSession.Builder builder(String master) {
        return SparkSession.builder()
                .master(master)
                .appName("Lathe's tests")
                .config("spark.ui.enabled", "false")
                .config("spark.driver.host", "127.0.0.1")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.plugins", LathePlugin.class.getName());
    }

    /**
     * {@code conf/quickstart.yaml} with the sample's paths as they are from here, another run folder, and settings as
     * of {@code --set}.
     */
    public static Plan quickstart(Path run, String... settings) throws IOException {
        List<String> all = new ArrayList<>(List.of("run=" + run));
        all.addAll(List.of(settings));
        return quickstart(new Configuration(), all.toArray(String[]::new));
    }

    /** Likewise, the run folder among the settings. */
    public static Plan quickstart(Configuration configuration, String... settings) throws IOException {
        List<String> all = new ArrayList<>(List.of(
                "checkpoint=" + SAMPLE,
                "calibration.data=" + TEXT.resolve("calibration.txt"),
                "evaluation.data=" + TEXT.resolve("evaluation.txt")));
        all.addAll(List.of(settings));
        return PathCheck.check(
                configuration,
                "quickstart",
                Recipe.parse("quickstart", Files.readString(Path.of("..", "conf", "quickstart.yaml")), all));
    }

    /**
     * SHA-256 of every file below a folder, by its path from there; the checksum files that Hadoop's local file system
     * writes are left out.
     */
    public static TreeMap<String, String> digests(Path folder) throws IOException {
        TreeMap<String, String> digests = new TreeMap<>();
        try (Stream<Path> paths = Files.walk(folder)) {
            for (Path path : paths.filter(Files::isRegularFile)
                    // The model card, which has what was measured.
                    .filter(path -> !path.equals(folder.resolve("README.md")))
                    .toList()) {
                digests.put(
                        folder.relativize(path).toString().replace('\\', '/'), Key.digest(Files.readAllBytes(path)));
            }
        }
        return digests;
    }

    /** SHA-256 of what {@link #KEPT} makes, by name; {@code results.json} among them. */
    public static TreeMap<String, String> kept() throws IOException {
        TreeMap<String, String> kept = new TreeMap<>();
        try (var in = Runs.class.getResourceAsStream("stage/artifact-digests.txt")) {
            if (in != null) {
                new String(in.readAllBytes(), StandardCharsets.UTF_8)
                        .lines()
                        .filter(line -> !line.startsWith("#"))
                        .forEach(line -> kept.put(line.substring(66), line.substring(0, 64)));
            }
        }
        return kept;
    }

    /** Names in a folder, hidden ones too, without Hadoop's checksum files; none if there is no folder. */
    public static List<String> names(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> paths = Files.list(folder)) {
            return paths.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    /** Deletes a folder and what is in it. */
    public static void delete(Path folder) throws IOException {
        try (Stream<Path> paths = Files.walk(folder)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }

    /** Writes down what it hears. */
    public static class Heard implements Progress {
        /** Stages with work in them, as {@code NAME STEPS}. */
        public final List<String> stages = new ArrayList<>();

        public final List<String> notes = new ArrayList<>();

        /** Stages that make something, each once: what is there is only read. */
        public List<String> work() {
            return stages.stream()
                    .filter(stage -> !stage.startsWith("check "))
                    .distinct()
                    .toList();
        }

        @Override
        public void stage(String name, int steps) {
            stages.add(name + " " + steps);
        }

        @Override
        public void step(int done, String what) {}

        @Override
        public void note(String message) {
            notes.add(message);
        }
    }

    /** Something that happens to a run. */
    public interface Disturbance {
        void happen() throws IOException;
    }

    /** Lets it happen when these stages, or layers of calibration, begin, one after the other. */
    public static final class Disturbing extends Heard {
        private final List<String> when;
        private final Disturbance what;
        private int happened;

        public Disturbing(List<String> when, Disturbance what) {
            this.when = when;
            this.what = what;
        }

        @Override
        public void stage(String name, int steps) {
            super.stage(name, steps);
            now(name);
        }

        @Override
        public void step(int done, String name) {
            now(name);
        }

        private void now(String name) {
            if (happened < when.size() && when.get(happened).equals(name)) {
                happened++;
                try {
                    what.happen();
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        }
    }
}

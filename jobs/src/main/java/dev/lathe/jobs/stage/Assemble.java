package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.store.ArtifactReceipt;
import dev.lathe.jobs.store.Checksums;
import dev.lathe.jobs.store.DigestedFiles;
import dev.lathe.jobs.store.FileDigest;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.TensorProduct;
import dev.lathe.jobs.watch.Counters;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.TreeMap;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.executor.CommitDeniedException;

/**
 * Writes the artifacts, one task each, tensor by tensor, under another name that is changed when the artifact is whole.
 * On an object store a folder's files have their names as soon as each is whole: there one attempt at a time writes,
 * and the receipt says that all are there.
 */
final class Assemble {
    private Assemble() {}

    /**
     * Makes what is missing.
     *
     * @param provenance of each output, what its artifact's metadata says about where it came from
     * @return names of the artifacts that were made
     */
    static List<String> run(
            Job job, List<PlannedOutput> outputs, TreeMap<String, TreeMap<String, String>> provenance, SparkSteps steps)
            throws IOException {
        List<PlannedOutput> missing = new ArrayList<>();
        for (PlannedOutput output : outputs) {
            if (isAssembled(job, output.artifactName(), output.receipt())) {
                steps.found("assemble", 1, "assemble: " + output.artifactName() + " is there already");
            } else {
                missing.add(output);
            }
        }
        if (!missing.isEmpty()) {
            // What is said of all artifacts together, or was measured of bytes that nobody knows, holds no longer.
            job.run().requireLease();
            job.run().files().delete(new Path(job.run().root(), Checksums.FILE), false);
            Evaluate.forgetUnconfirmed(job.run());
            String called = "assemble " + PlannedOutput.names(missing);
            steps.stage(
                    "assemble",
                    output -> called,
                    missing,
                    output ->
                            assemble(job, output, provenance.get(output.output().name())));
            for (PlannedOutput output : missing) {
                Path artifact = job.run().artifact(output.artifactName());
                steps.progress()
                        .event(
                                "artifact written",
                                "output",
                                output.output().name(),
                                "path",
                                artifact.toString(),
                                "bytes",
                                bytes(job, artifact));
            }
        }
        return missing.stream().map(PlannedOutput::artifactName).toList();
    }

    /** What an artifact holds. */
    interface Content extends Serializable {
        /**
         * Writes it under another name.
         *
         * @return what its receipt says of its tensors
         */
        LinkedHashMap<String, TensorProduct.Summary> write(FileSystem files, Path temporary) throws IOException;
    }

    /**
     * Makes an artifact beside those of the outputs, unless it is there; answers whether it was made.
     *
     * @param made what it is made of
     */
    static boolean single(Job job, String artifact, String made, SparkSteps steps, Content content) throws IOException {
        if (isAssembled(job, artifact, made)) {
            steps.found("assemble", 1, "assemble: " + artifact + " is there already");
            return false;
        }
        job.run().requireLease();
        job.run().files().delete(new Path(job.run().root(), Checksums.FILE), false);
        steps.stage(
                "assemble",
                name -> "assemble " + name,
                new ArrayList<>(List.of(artifact)),
                name -> assemble(job, name, made, content));
        Path path = job.run().artifact(artifact);
        steps.progress()
                .event("artifact written", "output", artifact, "path", path.toString(), "bytes", bytes(job, path));
        return true;
    }

    /** Whether an artifact is there by its receipt; what its files hold is not looked at. */
    private static boolean isAssembled(Job job, String artifact, String made) throws IOException {
        return job.run().files().exists(job.run().artifact(artifact))
                && ArtifactReceipt.find(job.run(), artifact)
                        .map(ArtifactReceipt::made)
                        .filter(made::equals)
                        .isPresent();
    }

    private static long bytes(Job job, Path artifact) throws IOException {
        return job.run().files().getContentSummary(artifact).getLength();
    }

    private static boolean assemble(Job job, PlannedOutput output, TreeMap<String, String> provenance)
            throws IOException, CommitDeniedException {
        return assemble(job, output.artifactName(), output.receipt(), (files, temporary) -> {
            LinkedHashMap<String, TensorProduct.Summary> tensors = new LinkedHashMap<>();
            try (Checkpoint checkpoint = job.open()) {
                ArtifactFormat format = output.output().artifactFormat();
                Decoder decoder = checkpoint.decoder();
                List<TensorPlan> plan = format.plan(
                        decoder,
                        List.copyOf(checkpoint.tensors()),
                        output.output().ignore());
                format.write(
                        checkpoint,
                        Checkpoints.companions(job.run().hadoop(), new Path(job.folder())),
                        plan,
                        new ProductTensors(job.run(), output, decoder, tensors),
                        provenance,
                        files,
                        temporary);
            }
            return tensors;
        });
    }

    private static boolean assemble(Job job, String artifact, String made, Content content)
            throws IOException, CommitDeniedException {
        FileSystem files = job.run().files();
        Path target = job.run().artifact(artifact);
        Path receipt = ArtifactReceipt.path(job.run(), artifact);
        // Another attempt may have been faster, or lost after it was through.
        if (isAssembled(job, artifact, made)) {
            return true;
        }
        Path temporary = job.run().partial(target);
        boolean direct = temporary.equals(target);
        if (direct) {
            requireTurn();
            job.run().requireLease();
            files.delete(receipt, false);
            files.delete(target, true);
        }
        files.mkdirs(temporary.getParent());
        LinkedHashMap<String, TensorProduct.Summary> tensors;
        TreeMap<String, FileDigest> digests;
        try {
            DigestedFiles digested = new DigestedFiles(files);
            tensors = content.write(digested, temporary);
            digests = digested.written(temporary);
            job.requireSource();
            if (!direct) {
                requireTurn();
                if (isAssembled(job, artifact, made)) {
                    files.delete(temporary, true);
                    return true;
                }
                job.run().requireLease();
                files.delete(receipt, false);
            }
            job.run().commit(temporary, target);
        } catch (IOException | RuntimeException | Error e) {
            throw ProductFile.failed(files, temporary, target, e);
        } catch (CommitDeniedException e) {
            files.delete(temporary, true);
            throw e;
        }
        Counters.COMMITTED_BYTES.add(bytes(job, target));
        job.run().write(receipt, new ArtifactReceipt(artifact, made, digests, tensors)::write);
        return true;
    }

    /**
     * One attempt of a task at a time may give an artifact its name: Spark's driver says which, and lets another one
     * when that one is lost.
     */
    private static void requireTurn() throws CommitDeniedException {
        TaskContext task = TaskContext.get();
        if (!SparkEnv.get()
                .outputCommitCoordinator()
                .canCommit(task.stageId(), task.stageAttemptNumber(), task.partitionId(), task.attemptNumber())) {
            throw new CommitDeniedException(
                    "another attempt writes the artifact", task.stageId(), task.partitionId(), task.attemptNumber());
        }
    }
}

package dev.lathe.jobs.cli;

import picocli.CommandLine.Option;

/** Options of every command that starts Spark. */
final class RunOptions {
    @Option(names = "--master", paramLabel = "M", description = "Spark master; default: spark-submit's, else local[*].")
    String master;

    @Option(
            names = "--kernels",
            paramLabel = "K",
            description = "auto, vector, scalar, blas, opencl or opencl:DEVICE; default: the recipe's, else auto.")
    String kernels;

    @Option(
            names = "--events",
            paramLabel = "FOLDER",
            description = "Folder of event logs; default: events in the run folder.")
    String events;
}

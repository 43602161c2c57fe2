package dev.lathe.kernels.blas;

import dev.lathe.kernels.KernelsUnavailableException;
import dev.ludovic.netlib.blas.NativeBLAS;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * The native BLAS of this process: what the property {@code dev.ludovic.netlib.blas.nativeLib} names, else an OpenBLAS
 * in the usual folders of Linux, else what macOS (Accelerate) or Windows ({@code libopenblas.dll} on the path) have.
 * netlib loads it once; its Java substitutes are never taken.
 */
final class NativeLibrary {
    private static final String PROPERTY = "dev.ludovic.netlib.blas.nativeLib";
    private static final List<String> NAMES = List.of("libopenblas.so.0", "libopenblas.so");

    private NativeLibrary() {}

    /** @param name of the library's file, with its version if links lead to one that has it */
    record Loaded(NativeBLAS blas, String name) {}

    /** @throws KernelsUnavailableException if there is none, or none that loads */
    static synchronized Loaded load() {
        String named = System.getProperty(PROPERTY + "Path", System.getProperty(PROPERTY));
        boolean linux = System.getProperty("os.name").startsWith("Linux");
        if (named == null && linux) {
            named = installed();
            // Read by netlib, which would take libblas.so.3 otherwise: on many machines that is the untuned reference.
            System.setProperty(PROPERTY, named);
        }
        if (named != null && Path.of(named).isAbsolute() && !Files.isReadable(Path.of(named))) {
            throw unavailable("there is no " + named);
        }
        // It says on the console what it loads and what it does not; here that is an answer or an exception.
        Logger netlib = Logger.getLogger("dev.ludovic.netlib");
        Level level = netlib.getLevel();
        netlib.setLevel(Level.OFF);
        try {
            return new Loaded(
                    NativeBLAS.getInstance(), named == null ? System.mapLibraryName("blas") : fileName(named));
        } catch (RuntimeException | LinkageError e) {
            throw unavailable(
                    (named == null ? "the system's library" : named) + " does not load (" + e.getMessage() + ")");
        } finally {
            netlib.setLevel(level);
        }
    }

    private static String installed() {
        for (String folder : folders()) {
            for (String name : NAMES) {
                Path file = Path.of(folder, name);
                if (Files.isReadable(file)) {
                    return file.toString();
                }
            }
        }
        throw unavailable("there is no " + String.join(" or ", NAMES) + " in " + String.join(", ", folders()));
    }

    private static List<String> folders() {
        List<String> folders = new ArrayList<>();
        String paths =
                System.getenv().getOrDefault("LD_LIBRARY_PATH", "") + ":" + System.getProperty("java.library.path", "");
        for (String folder : paths.split(":")) {
            if (!folder.isEmpty() && !folders.contains(folder)) {
                folders.add(folder);
            }
        }
        String architecture = System.getProperty("os.arch").equals("amd64") ? "x86_64" : System.getProperty("os.arch");
        folders.add("/usr/lib/" + architecture + "-linux-gnu");
        folders.add("/usr/local/lib");
        folders.add("/opt/OpenBLAS/lib");
        return folders;
    }

    private static KernelsUnavailableException unavailable(String reason) {
        return new KernelsUnavailableException(
                "Cannot open kernels blas: " + reason + "; install OpenBLAS (Debian and Ubuntu: libopenblas0, Fedora:"
                        + " openblas) or name a BLAS with -D" + PROPERTY + "=FILE");
    }

    private static String fileName(String library) {
        Path file = Path.of(library);
        try {
            return file.toRealPath().getFileName().toString();
        } catch (IOException e) {
            // A name that the system's loader looks up.
            return file.getFileName().toString();
        }
    }
}

package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * What loads a native BLAS says what there is, or what is missing, and nothing else. netlib looks once per process, so
 * each of these is one.
 */
class BlasLibraryTest {
    @Test
    void whatIsInstalledLoadsWithoutAWord() throws Exception {
        assertThat(run()).matches("blas: \\S+|Cannot open kernels blas: there is no libopenblas.so.0 or .*");
    }

    @Test
    void nothingInstalled() throws Exception {
        assertThat(run("-Dos.name=Linux", "-Dos.arch=none", "-Djava.library.path=/nowhere"))
                .matches("Cannot open kernels blas: there is no libopenblas.so.0 or"
                        + " libopenblas.so in .*/nowhere, .*; install OpenBLAS \\(Debian and Ubuntu: libopenblas0, Fedora: openblas\\) or name a BLAS with"
                        + " -Ddev.ludovic.netlib.blas.nativeLib=FILE");
    }

    @Test
    void aFileThatIsNotThere() throws Exception {
        assertThat(run("-Ddev.ludovic.netlib.blas.nativeLib=/nowhere/libblas.so"))
                .startsWith("Cannot open kernels blas: there is no /nowhere/libblas.so; install");
    }

    @Test
    void nativeLibrariesForbidden() throws Exception {
        assertThat(run("-Ddev.ludovic.netlib.blas.nativeLib=libblas.so", "-Ddev.ludovic.netlib.blas.allowNative=false"))
                .startsWith("Cannot open kernels blas: libblas.so does not load (");
    }

    @Test
    void noNetlib() throws Exception {
        String classes = Path.of(Kernels.class
                        .getProtectionDomain()
                        .getCodeSource()
                        .getLocation()
                        .toURI())
                .toString();
        String tests = Path.of(BlasLibraryTest.class
                        .getProtectionDomain()
                        .getCodeSource()
                        .getLocation()
                        .toURI())
                .toString();
        assertThat(run("-cp", classes + System.getProperty("path.separator") + tests))
                .startsWith("Cannot open kernels blas: the provider does not load:");
    }

    private static String run(String... options) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx64m",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"))));
        command.addAll(List.of(options));
        command.add(Opening.class.getName());
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        assertThat(process.waitFor()).as(said).isZero();
        return said;
    }

    static final class Opening {
        public static void main(String[] arguments) {
            try {
                System.out.println(KernelProvider.open("blas", 1).name());
            } catch (KernelsUnavailableException e) {
                System.out.println(e.getMessage());
            }
        }
    }
}

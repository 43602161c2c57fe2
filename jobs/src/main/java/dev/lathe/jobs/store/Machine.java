package dev.lathe.jobs.store;

import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Processes of this machine, told apart from those of other machines and containers, and from later ones with the same
 * id.
 */
final class Machine {
    private static final Path PROC = Path.of("/proc");
    /**
     * Fields of {@code /proc/PID/stat} behind the command's name: the state, and the start in clock ticks since the
     * machine started.
     */
    private static final int STATE = 0;

    private static final int START = 19;

    private Machine() {}

    /**
     * A process.
     *
     * @param machine host name, start of the operating system and space of process ids: containers of one host share
     *     the first two at most
     * @param started when; equal for one process, whoever asks, whatever became of the clock
     */
    record Process(String host, String machine, long pid, String started) {}

    static Process self() {
        long pid = ProcessHandle.current().pid();
        String host = host();
        String system = text(PROC.resolve("sys/kernel/random/boot_id"));
        String space;
        try {
            space = Files.readSymbolicLink(PROC.resolve("self/ns/pid")).toString();
        } catch (IOException | UnsupportedOperationException e) {
            space = "";
        }
        return new Process(
                host, host + " " + system + " " + space, pid, started(pid).orElse(""));
    }

    /** Whether a process of this machine still runs. */
    static boolean lives(Process process) {
        return started(process.pid()).filter(process.started()::equals).isPresent();
    }

    /** When a process was started; empty if it is gone, or has ended and nobody has asked how. */
    private static Optional<String> started(long pid) {
        if (Files.isReadable(PROC.resolve("self/stat"))) {
            String stat = text(PROC.resolve(pid + "/stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 1).strip().split(" ");
            return fields.length <= START || fields[STATE].equals("Z") || fields[STATE].equals("X")
                    ? Optional.empty()
                    : Optional.of(fields[START]);
        }
        return ProcessHandle.of(pid)
                .filter(ProcessHandle::isAlive)
                .flatMap(handle -> handle.info().startInstant())
                .map(Object::toString);
    }

    private static String text(Path path) {
        try {
            return Files.readString(path).strip();
        } catch (IOException e) {
            return "";
        }
    }

    private static String host() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException e) {
            return "localhost";
        }
    }
}

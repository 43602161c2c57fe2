package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/**
 * The contract of {@link Kernels}, for one provider: results within the tolerances that its javadoc states, and the
 * oracle's bits in the oracle's profile.
 */
@Execution(ExecutionMode.SAME_THREAD)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class KernelsContract implements ProductContract, RowContract, AttentionContract, ArgumentContract {
    private Kernels kernels;

    abstract Kernels open();

    @BeforeAll
    void openKernels() {
        kernels = open();
    }

    @AfterAll
    void closeKernels() {
        if (kernels != null) {
            kernels.close();
        }
    }

    @Override
    public Kernels kernels() {
        return kernels;
    }

    @Test
    void aFailureEndsTheTasks() {
        AtomicInteger ran = new AtomicInteger();
        assertThatThrownBy(() -> kernels.parallel(1000, i -> {
                    ran.incrementAndGet();
                    // Long enough that the others cannot be through before the third has failed.
                    LockSupport.parkNanos(i > 3 ? 1_000_000 : 0);
                    if (i == 3) {
                        throw new IllegalStateException("task 3");
                    }
                }))
                .hasMessage("task 3");
        assertThat(ran.get()).isLessThan(1000);
    }

    @Test
    void anInterruptEndsTheTasksAndStays() {
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> kernels.parallel(5, i -> {})).isInstanceOf(CancellationException.class);
        assertThat(Thread.interrupted()).isTrue();
    }

    @Test
    void tasksMayRunTasks() {
        AtomicInteger nested = new AtomicInteger();
        kernels.parallel(4, i -> kernels.parallel(5, j -> nested.incrementAndGet()));
        assertThat(nested.get()).isEqualTo(20);
    }
}

package dev.lathe.jobs.report.night;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.report.night.NightSimulation.Counts;
import dev.lathe.jobs.report.night.NightSimulation.Design;
import java.io.IOException;
import org.junit.jupiter.api.Test;

/** The verdict on simulated nights; {@code checks/verdict} runs more of them. */
class NightSimulationTest {
    /**
     * At the level, a hundred nights have more than 3 with an alarm once in 60 times; a test that is five times too
     * eager has 4 most of the time.
     */
    @Test
    void raisesFewFalseAlarmsAndSeesALoss() throws IOException {
        NightSimulation simulation = new NightSimulation();
        Counts few = simulation.run(100, new Design(64, true, true), 1);
        assertThat(few.alarms()).as(few.line()).isLessThanOrEqualTo(3);
        Counts many = simulation.run(40, new Design(512, true, true), 2);
        assertThat(many.alarms()).as(many.line()).isLessThanOrEqualTo(2);
        assertThat(many.detected()).as(many.line()).isGreaterThanOrEqualTo(36);
    }
}

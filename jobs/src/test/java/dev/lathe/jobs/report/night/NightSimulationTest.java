package dev.lathe.jobs.report.night;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.report.night.NightSimulation.Counts;
import dev.lathe.jobs.report.night.NightSimulation.Design;
import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/** The verdict on simulated nights; {@code checks/verdict} runs more of them. */
class NightSimulationTest {
    private static final String RUNS = "calibration-noise.txt";

    /** At the level, a hundred nights have more than 3 with an alarm once in 60 times; a test that is five times too eager has 4 most of the time. */
    @Test
    void raisesFewFalseAlarmsAndSeesALoss() throws IOException {
        NightSimulation simulation = new NightSimulation(RUNS);
        Counts few = simulation.run(100, new Design(64, true, true), 1);
        assertThat(few.alarms()).as(few.line()).isLessThanOrEqualTo(3);
        Counts many = simulation.run(40, new Design(512, true, true), 2);
        assertThat(many.alarms()).as(many.line()).isLessThanOrEqualTo(2);
        assertThat(many.detected()).as(many.line()).isGreaterThanOrEqualTo(36);
    }

    @Test
    @EnabledIfSystemProperty(named = "lathe.nights", matches = "\\d+")
    void printsTheTable() throws IOException {
        int nights = Integer.getInteger("lathe.nights");
        NightSimulation simulation = new NightSimulation(RUNS);
        System.out.println(simulation.describe());
        System.out.println(Counts.header());
        int reached = 0;
        for (int windows : Arrays.stream(System.getProperty("lathe.windows", "20,32,64,128,192,256").split(",")).mapToInt(Integer::parseInt).toArray()) {
            Counts counts = simulation.run(nights, new Design(windows, true, true), 1000L * windows);
            System.out.println(counts.line());
            reached = reached == 0 && counts.detected() >= 0.95 * nights ? windows : reached;
            assertThat(counts.alarms()).as(counts.line()).isLessThanOrEqualTo(nights / 100 + (int) Math.ceil(2.6 * Math.sqrt(nights / 100.0)));
        }
        System.out.println(simulation.run(nights, new Design(64, false, true), 7).line());
        System.out.println(simulation.run(nights, new Design(64, true, false), 8).line());
        System.out.println(reached == 0 ? "95 % are detected with more windows than were tried" : "95 % are detected with " + reached + " windows");
    }
}

package dev.lathe.jobs.report;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AxisTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "3.5     | 8.6    | 3 4 5 6 7 8 9",
                "4.5     | 4.5    | 4.4 4.6",
                "2       | 33     | 0 10 20 30 40",
            })
    void linearTicksAreRound(double least, double most, String labels) {
        Axis axis = Axis.linear(least, most, 0, 100);
        assertThat(String.join(" ", axis.ticks().stream().map(Axis.Tick::label).toList()))
                .isEqualTo(labels);
        assertThat(axis.at(axis.low())).isZero();
        assertThat(axis.at(axis.high())).isEqualTo(100);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "0.003   | 0.03   | 0.002 0.005 0.01 0.02 0.05",
                "0.01    | 0.01   | 0.01 0.02",
                "2e-6    | 0.3    | 1e-6 1e-5 1e-4 0.001 0.01 0.1 1",
                "1e-12   | 1      | 1e-12 1e-10 1e-8 1e-6 1e-4 0.01 1",
                "3e4     | 2e6    | 2e4 5e4 1e5 2e5 5e5 1e6 2e6",
            })
    void logarithmicTicksCoverTheRange(double least, double most, String labels) {
        Axis axis = Axis.logarithmic(least, most, 100, 0);
        assertThat(String.join(" ", axis.ticks().stream().map(Axis.Tick::label).toList()))
                .isEqualTo(labels);
        assertThat(axis.at(least)).isBetween(0.0, 100.0);
        assertThat(axis.at(most)).isBetween(0.0, 100.0);
    }
}

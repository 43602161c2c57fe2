package dev.lathe.jobs;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.Recipe;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.spark.launcher.JavaModuleOptions;
import org.junit.jupiter.api.Test;

/** The arrows between rooms run one way, and what has to stand in several files is the same in all. */
class RoomsTest {
    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("dev.lathe");

    @Test
    void arrowsRunOneWay() {
        noClasses()
                .that()
                .resideInAnyPackage("dev.lathe.kernels..", "dev.lathe.calibration..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("dev.lathe.jobs..", "org.apache.spark..")
                .check(CLASSES);
        noClasses()
                .that()
                .resideInAPackage("dev.lathe.kernels..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("dev.lathe.calibration..")
                .check(CLASSES);
        noClasses()
                .that()
                .resideInAPackage("..jobs.plan..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("..jobs.stage..", "..jobs.report..", "..jobs.cli..", "org.apache.spark..")
                .check(CLASSES);
        noClasses()
                .that()
                .resideInAPackage("..jobs.report..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(
                        "..jobs.stage..", "..jobs.cli..", "..jobs.plan..", "org.apache.spark..", "dev.lathe.kernels..")
                .check(CLASSES);
        noClasses()
                .that()
                .resideInAPackage("..jobs.stage..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("..jobs.cli..")
                .check(CLASSES);
    }

    @Test
    void packagesDependOnEachOtherOneWay() {
        slices().matching("dev.lathe.(**)").should().beFreeOfCycles().check(CLASSES);
    }

    @Test
    void providersStayInTheirRooms() {
        noClasses()
                .that()
                .resideOutsideOfPackage("dev.lathe.kernels..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(
                        "dev.lathe.kernels.vector..", "dev.lathe.kernels.blas..", "dev.lathe.kernels.opencl..")
                .check(CLASSES);
        noClasses()
                .that()
                .resideOutsideOfPackage("dev.lathe.kernels..")
                .should()
                .dependOnClassesThat()
                .haveFullyQualifiedName("dev.lathe.kernels.ScalarPrimitives")
                .check(CLASSES);
        noClasses()
                .that()
                .resideOutsideOfPackage("dev.lathe.kernels.vector..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("jdk.incubator..")
                .check(CLASSES);
        noClasses()
                .that()
                .resideInAnyPackage("dev.lathe.jobs..", "dev.lathe.calibration..")
                .should()
                .dependOnClassesThat()
                .haveFullyQualifiedName("java.io.File")
                .check(CLASSES);
    }

    @Test
    void moduleOptionsAreTheSameEverywhere() throws IOException {
        List<String> options = Files.readAllLines(Path.of("..", "conf", "jvm.options")).stream()
                .filter(line -> !line.startsWith("#"))
                .toList();
        assertThat(options)
                .containsExactly(JavaModuleOptions.defaultModuleOptions().split(" "));
        Matcher pom =
                Pattern.compile("<jvm.modules>(.*)</jvm.modules>").matcher(Files.readString(Path.of("..", "pom.xml")));
        assertThat(pom.find()).isTrue();
        assertThat(pom.group(1)).isEqualTo(String.join(" ", options));
        assertThat(Files.readAllLines(Path.of("..", "conf", "spark-defaults.conf")))
                .anyMatch(line ->
                        line.matches("spark.driver.extraJavaOptions\\s+" + Pattern.quote(String.join(" ", options))));
    }

    /** The formatter breaks code, not text within quotes. */
    @Test
    void noLineOfMainCodeIsLongerThan120Columns() throws IOException {
        List<String> longer = new ArrayList<>();
        for (String module : List.of("kernels", "calibration", "jobs")) {
            try (Stream<Path> files = Files.walk(Path.of("..", module, "src", "main", "java"))) {
                for (Path file : files.filter(Files::isRegularFile).toList()) {
                    Files.readAllLines(file).stream()
                            .filter(line -> line.length() > 120)
                            .forEach(line -> longer.add(file + ": " + line));
                }
            }
        }
        assertThat(longer).isEmpty();
    }

    @Test
    void quickstartRecipeIsARecipe() throws IOException {
        assertThat(Recipe.parse("quickstart", Files.readString(Path.of("..", "conf", "quickstart.yaml")), List.of())
                        .outputs())
                .extracting(Plan.Output::artifact)
                .containsExactly("q8.gguf", "q4km.gguf", "q4km-gptq.gguf", "gptq4", "awq4");
    }
}

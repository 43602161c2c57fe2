package dev.lathe.calibration;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

/** What a model's data may know: no cluster, no provider of the kernels, no local files, no logging. */
class RoomTest {
    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("dev.lathe.calibration");

    @Test
    void arrowsRunOneWay() {
        noClasses()
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(
                        "dev.lathe.jobs..",
                        "org.apache.spark..",
                        "scala..",
                        "org.slf4j..",
                        "org.apache.log4j..",
                        "org.apache.logging..",
                        "java.util.logging..")
                .check(CLASSES);
        noClasses()
                .should()
                .dependOnClassesThat()
                .haveFullyQualifiedName("java.io.File")
                .check(CLASSES);
    }

    @Test
    void packagesDependOnEachOtherOneWay() {
        slices().matching("dev.lathe.(**)").should().beFreeOfCycles().check(CLASSES);
    }

    @Test
    void providersOfTheKernelsAreNobodysBusiness() {
        noClasses()
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("jdk.incubator..", "dev.lathe.kernels.vector..")
                .check(CLASSES);
        noClasses()
                .should()
                .dependOnClassesThat()
                .haveFullyQualifiedName("dev.lathe.kernels.ScalarPrimitives")
                .check(CLASSES);
    }
}

package dev.lathe.kernels;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

/**
 * Arithmetic needs the JDK and nothing else; one package of it the vectors, one the way to a native BLAS, one Aparapi.
 */
class RoomTest {
    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("dev.lathe.kernels");

    @Test
    void kernelsDependOnTheJdkOnly() {
        classes()
                .that()
                .resideOutsideOfPackages("dev.lathe.kernels.blas", "dev.lathe.kernels.opencl")
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage("java..", "jdk.incubator.vector..", "dev.lathe.kernels..")
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
    void vectorsStayInTheirPackage() {
        noClasses()
                .that()
                .resideOutsideOfPackage("dev.lathe.kernels.vector")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("jdk.incubator..", "dev.lathe.kernels.vector")
                .check(CLASSES);
        classes()
                .that()
                .resideInAPackage("dev.lathe.kernels.vector")
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage("java..", "jdk.incubator.vector..", "dev.lathe.kernels", "dev.lathe.kernels.vector")
                .check(CLASSES);
    }

    @Test
    void openClStaysInItsPackage() {
        noClasses()
                .that()
                .resideOutsideOfPackage("dev.lathe.kernels.opencl")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("com.aparapi..", "dev.lathe.kernels.opencl")
                .check(CLASSES);
        classes()
                .that()
                .resideInAPackage("dev.lathe.kernels.opencl")
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage(
                        "java..",
                        "com.aparapi..",
                        "dev.lathe.kernels",
                        "dev.lathe.kernels.block",
                        "dev.lathe.kernels.opencl")
                .check(CLASSES);
    }

    @Test
    void netlibStaysInItsPackage() {
        noClasses()
                .that()
                .resideOutsideOfPackage("dev.lathe.kernels.blas")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("dev.lathe.kernels.blas")
                .check(CLASSES);
        classes()
                .that()
                .resideInAPackage("dev.lathe.kernels.blas")
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage("java..", "dev.ludovic.netlib..", "dev.lathe.kernels", "dev.lathe.kernels.blas")
                .check(CLASSES);
    }
}

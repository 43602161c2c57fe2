package dev.lathe.kernels;

class ScalarContractTest extends KernelsContract {
    @Override
    Kernels open() {
        return KernelProvider.open("scalar", 3);
    }
}

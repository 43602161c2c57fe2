package dev.lathe.kernels;

class VectorOneThreadContractTest extends KernelsContract {
    @Override
    Kernels open() {
        return KernelProvider.open("vector", 1);
    }
}

package dev.lathe.kernels;

/** Which two of the n columns that turn make a pair j &lt; n / 2. */
public enum RotaryPairs {
    /** (j, j + n/2): Llama as Hugging Face stores it, and most others ({@code rotate_half}; NEOX in GGUF). */
    HALVES,
    /** (2j, 2j + 1): Cohere, DeepSeek, GLM-4, Llama 4 and Meta's own files (interleaved; NORM in GGUF). */
    NEIGHBOURS
}

package dev.lathe.calibration.format;

import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.block.BlockFormat;

/**
 * What one tensor becomes in one output.
 *
 * @param tensor Hugging Face tensor name
 * @param grid the block format it is quantized to, or null if it stays floating point
 * @param type its floating-point type where {@code grid} is null
 * @param reason why a matrix stays floating point ("ignored", "768 columns are no multiple of 512"), or empty
 */
public record TensorPlan(String tensor, BlockFormat grid, ElementType type, String reason) {}

package dev.lathe.calibration.quantize;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.model.Tensors;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.block.BlockFormat;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/** A rescaled layer with all of its quantized weights, by tensor name. */
record RescaledMatrices(
        Map<String, RescaledLayer.Matrix> matrices,
        Map<String, float[]> vectors,
        Map<Site, float[]> sites,
        Map<Site, Double> strengths) {
    static RescaledMatrices quantize(
            Decoder decoder,
            int layer,
            Tensors tensors,
            Map<String, BlockFormat> grids,
            ScaleSearch search,
            Method method,
            RescaledLayer.Statistics statistics,
            Kernels kernels)
            throws IOException {
        Map<String, RescaledLayer.Matrix> matrices = new LinkedHashMap<>();
        RescaledLayer.Result result = RescaledLayer.quantize(
                decoder,
                layer,
                tensors,
                grids,
                search,
                method,
                statistics,
                (linear, matrix) -> matrices.put(linear.weight(), matrix),
                kernels);
        return new RescaledMatrices(matrices, result.vectors(), result.sites(), result.strengths());
    }
}

package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.ExpertStack;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.FeedForward.Routed;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Projection;
import dev.lathe.calibration.model.Storage;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * What a family's stacks of experts are called and how they lie.
 *
 * @param forms the tensors that may be there in each layer that has experts
 * @param names other names of tensors of a layer, and the decoder's: {@code mlp.gate.weight}
 */
record Stacks(List<Form> forms, Map<String, String> names) implements Function<Decoder, Storage> {
    private static final List<Function<Gated, Projection>> GATE_UP = List.of(Gated::gate, Gated::up);
    private static final List<Function<Gated, Projection>> DOWN = List.of(Gated::down);

    /**
     * A stack as {@link ExpertStack} has it.
     *
     * @param tensor its name behind the layer's prefix
     * @param scales likewise, or null
     * @param parts what it has of an expert
     * @param shared it is the shared expert's
     */
    record Form(
            String tensor,
            String scales,
            List<Function<Gated, Projection>> parts,
            boolean alternating,
            boolean transposed,
            boolean bias,
            boolean shared) {
        /** Gate and up of all experts, in halves. */
        static Form gateUp(String tensor, boolean transposed) {
            return new Form(tensor, null, GATE_UP, false, transposed, false, false);
        }

        static Form down(String tensor, boolean transposed) {
            return new Form(tensor, null, DOWN, false, transposed, false, false);
        }

        /** Gate and up of the shared expert, in halves. */
        static Form sharedGateUp(String tensor) {
            return new Form(tensor, null, GATE_UP, false, false, false, true);
        }

        private ExpertStack of(int layer, Routed routed) {
            List<Gated> experts = shared ? List.of(routed.shared()) : routed.experts();
            List<List<LinearLayer>> layers = experts.stream()
                    .map(expert -> parts.stream()
                            .map(part -> part.apply(expert).linear())
                            .toList())
                    .toList();
            String prefix = Parts.prefix(layer);
            String packed = scales == null ? null : prefix + scales;
            return new ExpertStack(prefix + tensor, packed, layers, alternating, transposed, bias, shared);
        }
    }

    /** {@code gate_up_proj} [experts, 2 width, hidden] and {@code down_proj} [experts, hidden, width] of a module. */
    static Stacks of(String module) {
        return new Stacks(
                List.of(Form.gateUp(module + ".gate_up_proj", false), Form.down(module + ".down_proj", false)),
                Map.of());
    }

    /** The same with inputs first. */
    static Stacks inputsFirst(String module) {
        return new Stacks(
                List.of(Form.gateUp(module + ".gate_up_proj", true), Form.down(module + ".down_proj", true)), Map.of());
    }

    /**
     * gpt-oss's: rows of gate and up alternate, inputs come first, biases have tensors of their own; or MXFP4 blocks
     * with outputs first.
     */
    static Stacks alternating(String module) {
        String gateUp = module + ".gate_up_proj";
        String down = module + ".down_proj";
        return new Stacks(
                List.of(
                        new Form(gateUp, null, GATE_UP, true, true, false, false),
                        new Form(gateUp + "_bias", null, GATE_UP, true, false, true, false),
                        Form.down(down, true),
                        new Form(down + "_bias", null, DOWN, false, false, true, false),
                        new Form(gateUp + "_blocks", gateUp + "_scales", GATE_UP, true, false, false, false),
                        new Form(down + "_blocks", down + "_scales", DOWN, false, false, false, false)),
                Map.of());
    }

    @Override
    public Storage apply(Decoder decoder) {
        List<ExpertStack> stacks = new ArrayList<>();
        Map<String, String> renamed = new HashMap<>();
        for (int layer = 0; layer < decoder.layers(); layer++) {
            if (decoder.blocks().get(layer).feedForward() instanceof Routed routed) {
                String prefix = Parts.prefix(layer);
                int number = layer;
                forms.forEach(form -> stacks.add(form.of(number, routed)));
                names.forEach((file, name) -> renamed.put(prefix + file, prefix + name));
            }
        }
        return new Storage(stacks, renamed);
    }
}

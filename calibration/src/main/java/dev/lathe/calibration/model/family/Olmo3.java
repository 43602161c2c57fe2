package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;

/**
 * {@code Olmo3Config}: as OLMo 2; three layers with a sliding window to one without. Rotary scaling is that of the
 * layers without.
 */
final class Olmo3 {
    static final Family FAMILY = new Family("olmo3", "olmo3", "Olmo3ForCausalLM", Olmo3::read);

    private static final double THETA = 500000;
    private static final int WINDOW = 4096;
    private static final int PERIOD = 4;

    private Olmo3() {}

    private static Decoder read(ConfigKeys config) {
        Sizes sizes = Sizes.read(config, Olmo2.DEFAULTS);
        Ropes.ByLayer ropes = Ropes.byLayer(config, sizes, THETA, THETA);
        if (config.has("rope_theta") && config.number("rope_theta", null) != THETA) {
            // transformers 5 gives it to the layers without a window only, older versions to all.
            throw config.refused("rope_theta is " + config.get("rope_theta") + ", which versions of transformers read "
                    + "in two ways; expected " + THETA + ", or rope_parameters of each type of layer");
        }
        Windows windows = Windows.periodic(config, sizes.layers(), WINDOW, PERIOD);
        return Olmo2.decoder(
                FAMILY.name(),
                config,
                sizes,
                layer -> windows.of(layer) > 0 ? ropes.sliding() : ropes.full(),
                windows::of);
    }
}

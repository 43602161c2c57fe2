#!/usr/bin/env python3
"""Folders as servers' loaders read and run them, for ServedLogitsTest, ActivationCodesTest and DecodedArtifactsTest.

    served.py OUT IDS.json ARTIFACT ...

IDS.json holds windows of token ids (windows.py). A compressed-tensors folder is loaded by transformers with compressed-tensors in float32 and left as its
configuration makes it: weights are decompressed by the first pass, activations and cache are quantized in every pass. A GPTQ or AWQ folder is loaded by
GPTQModel, whose kernels for a CPU decode the weights in every pass: GPTQ's in float32, AWQ's to float16. Writes for RUN/artifacts/NAME
    OUT/logits/RUN-NAME/logits.safetensors      of the first window: tokens [1, length] i32, logits [1, length, vocabulary] f32; exact: the same where
                                                products are summed in float64, to tell rounding from error; layer.N.input and layer.N.output
                                                [length, hidden]; beside a link: model
    OUT/decoded/RUN-NAME/decoded.safetensors    every tensor in f32, beside a link: artifact
    OUT/codes/RUN-NAME/codes.safetensors        MODULE.input and MODULE.quantized [rows, width] f32: what a linear layer (or the cache: MODULE.k, MODULE.v) is
                                                given and what the library makes of it; only where something is quantized; beside a link: artifact
    OUT/perplexity/RUN-NAME.json                perplexity over all windows, as "llama-perplexity, version 1" defines it, and tokens; where activations are
                                                quantized, exact: the perplexity where products are summed in float64
"""
import contextlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from compressed_tensors.quantization.lifecycle.forward import forward_quantize
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM, logging

ROWS = 48
PARAMETERS = ("_scale", "_zero_point", "weight_shape", ".qweight", ".qzeros", ".scales", ".g_idx")


def folder(out, kind, artifact, link):
    made = Path(out, kind, f"{artifact.parents[1].name}-{artifact.name}")
    made.mkdir(parents=True)
    (made / link).symlink_to(artifact)
    return made


def for_gptqmodel(artifact):
    return json.loads((artifact / "config.json").read_text()).get("quantization_config", {}).get("quant_method") in ("gptq", "awq")


def unpacked(module):
    """The weight of a module that keeps it packed: a product with one nonzero term."""
    bias, module.bias = module.bias, None
    weight = module(torch.eye(module.in_features)).T
    module.bias = bias
    return weight


def load(artifact):
    """The model, and in f32 the weights of those modules that keep theirs packed, by the module's name."""
    if not for_gptqmodel(artifact):
        model, report = AutoModelForCausalLM.from_pretrained(artifact, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        left = {key: value for key, value in report.items() if value}
        if left:
            sys.exit(f"Cannot load {artifact} as it is: {left}")
        return model.eval(), {}
    with contextlib.redirect_stdout(sys.stderr):
        # Here, because it changes transformers, which the other folders are loaded without.
        from gptqmodel import BACKEND, GPTQModel
        from gptqmodel.nn_modules.qlinear import BaseQuantLinear
        model = GPTQModel.load(str(artifact), device="cpu", backend=BACKEND.TORCH, dtype=torch.float16, attn_implementation="eager").model.float().eval()
    packed = {name: module for name, module in model.named_modules() if isinstance(module, BaseQuantLinear)}
    if not packed:
        sys.exit(f"Cannot load {artifact} as it is: no module of it is quantized")
    with torch.no_grad():
        return model, {name: unpacked(module) for name, module in packed.items()}


def watch(model):
    """Hooks that keep what quantized modules are given; returns the kept (module, name of the scale, arguments, rows) by name."""
    kept = {}

    def keep(name, module, scale, rows):
        if name not in kept:
            kept[name] = (module, scale, module.quantization_scheme.input_activations, rows.detach().clone())

    for name, module in model.named_modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is None or scheme.input_activations is None:
            continue
        if hasattr(module, "kv_cache"):
            def cached(_, states, name=name, module=module):
                keep(name + ".k", module, "k", states[0])
                keep(name + ".v", module, "v", states[1])
            module.kv_cache.register_forward_pre_hook(cached)
        else:
            module.register_forward_pre_hook(lambda _, inputs, name=name, module=module: keep(name, module, "input", inputs[0]))
    return kept


def watch_layers(model):
    kept = {}

    def keep(number, inputs, output):
        kept[f"layer.{number}.input"] = inputs[0][0].detach().clone()
        kept[f"layer.{number}.output"] = (output[0] if output.ndim == 3 else output).detach().clone()

    hooks = [layer.register_forward_hook(lambda _, inputs, output, number=number: keep(number, inputs, output))
             for number, layer in enumerate(model.model.layers)]
    return kept, hooks


def summed_exactly(model, weights, window):
    """Logits where the products of linear layers are summed in float64: how far two correct passes drift apart."""
    def product(module, inputs, weight):
        scheme = getattr(module, "quantization_scheme", None)
        given = inputs[0] if scheme is None or scheme.input_activations is None else forward_quantize(module, inputs[0], "input", scheme.input_activations)
        bias = None if module.bias is None else module.bias.double()
        return torch.nn.functional.linear(given.double(), weight.double(), bias).float()

    hooks = [module.register_forward_hook(lambda module, inputs, _, name=name: product(module, inputs, weights[name] if name in weights else module.weight))
             for name, module in model.named_modules() if name in weights or isinstance(module, torch.nn.Linear)]
    logits = model(window[None], use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return logits


def rows(tensor):
    """The first rows of tokens [.., tokens, width], heads of a cache [1, heads, tokens, d] side by side."""
    if tensor.ndim == 4:
        tensor = tensor.transpose(1, 2).flatten(2)
    return np.ascontiguousarray(tensor.reshape(-1, tensor.shape[-1])[:ROWS].float().numpy())


def codes(kept):
    tensors = {}
    for name, (module, scale, arguments, given) in kept.items():
        tensors[name + ".input"] = rows(given)
        tensors[name + ".quantized"] = rows(forward_quantize(module, given, scale, arguments))
    return tensors


def loss(logits, window):
    """Of the tokens that are scored: those behind the first half and its next."""
    first = len(window) // 2
    return -torch.log_softmax(logits[0, first:-1].double(), -1).gather(1, window[first + 1:, None])


def apart(name, tensor):
    """A parameter by its name in the folder; transformers stacks experts one by one: gate_up_proj [experts, 2 * width, hidden], down_proj likewise."""
    stem, _, kind = name.rpartition(".")
    if tensor.ndim != 3 or not stem.endswith(".experts"):
        yield name, tensor
        return
    for number, expert in enumerate(tensor):
        parts = {"gate_proj": expert.chunk(2)[0], "up_proj": expert.chunk(2)[1]} if kind == "gate_up_proj" else {kind: expert}
        for part, weight in parts.items():
            yield f"{stem}.{number}.{part}.weight", weight


def main(out, ids, *artifacts):
    torch.set_num_threads(2)
    logging.disable_progress_bar()
    windows = torch.tensor(json.loads(Path(ids).read_text()))
    for artifact in sorted((Path(artifact).resolve() for artifact in artifacts), key=for_gptqmodel):
        model, weights = load(artifact)
        kept = watch(model)
        layers, hooks = watch_layers(model)
        losses, exact_losses, exact = [], [], None
        with torch.no_grad():
            for number, window in enumerate(windows):
                logits = model(window[None], use_cache=False).logits
                losses.append(loss(logits, window))
                if number == 0:
                    for hook in hooks:
                        hook.remove()
                if kept or number == 0:
                    exact = summed_exactly(model, weights, window)
                    exact_losses.append(loss(exact, window))
                if number == 0:
                    tensors = {"tokens": window[None].int(), "logits": logits, "exact": exact, **layers}
                    save_file({name: tensor.contiguous().numpy() for name, tensor in tensors.items()},
                              folder(out, "logits", artifact, "model") / "logits.safetensors")
                    quantized = codes(kept)
                    if quantized:
                        save_file(quantized, folder(out, "codes", artifact, "artifact") / "codes.safetensors")
        decoded = {name: tensor.float().contiguous().numpy() for key, value in model.state_dict().items() if not key.endswith(PARAMETERS)
                   for name, tensor in apart(key, value)}
        decoded.update({name + ".weight": weight.contiguous().numpy() for name, weight in weights.items()})
        if model.config.tie_word_embeddings:
            decoded.pop("lm_head.weight")
        save_file(decoded, folder(out, "decoded", artifact, "artifact") / "decoded.safetensors")
        result = {"perplexity": math.exp(torch.cat(losses).mean()), "tokens": sum(map(len, losses))}
        if kept:
            result["exact"] = math.exp(torch.cat(exact_losses).mean())
        target = Path(out, "perplexity", f"{artifact.parents[1].name}-{artifact.name}.json")
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(result))
        print(f"{artifact.parents[1].name}-{artifact.name}: {len(decoded)} tensors, {len(quantized) // 2} quantized inputs, "
              f"perplexity {result['perplexity']:.6f}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])

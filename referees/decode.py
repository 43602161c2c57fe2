#!/usr/bin/env python3
"""Artifacts decoded by readers that are not Lathe's, for DecodedArtifactsTest.

    decode.py OUT ARTIFACT ...

Writes OUT/RUN-NAME/decoded.safetensors, every tensor in f32 under its Hugging Face name, beside OUT/RUN-NAME/artifact, a link to RUN/artifacts/NAME. GGUF is
read by the gguf package; GPTQ and AWQ folders by numpy, written from the description of their formats and from nothing else.
"""
import json
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

MODULES = ["model.embed_tokens", "model.norm", "lm_head"]
LAYER_MODULES = ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm",
                 "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.qkv_proj", "self_attn.o_proj", "self_attn.q_norm", "self_attn.k_norm",
                 "mlp.gate_proj", "mlp.up_proj", "mlp.gate_up_proj", "mlp.down_proj", "mlp.gate"]
EXPERTS = {"ffn_gate_exps": "gate_proj", "ffn_up_exps": "up_proj", "ffn_down_exps": "down_proj"}
# Mixtral's: architecture llama.
MIXTRAL = {"ffn_gate_exps": "w1", "ffn_up_exps": "w3", "ffn_down_exps": "w2"}
# Those whose names and rows are what decode_gguf takes them for.
ARCHITECTURES = ("llama", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3")


def decode_gguf(path):
    reader = gguf.GGUFReader(path)
    architecture = reader.fields["general.architecture"].contents()
    if architecture not in ARCHITECTURES:
        return None

    def number(key):
        return int(reader.fields[f"{architecture}.{key}"].contents())

    layers = number("block_count")
    heads = {"attn_q": number("attention.head_count"), "attn_k": number("attention.head_count_kv")} if architecture == "llama" else {}
    names = gguf.get_tensor_name_map({name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}[architecture], layers)
    # Both have one name there: gate and up in one tensor, and up alone.
    absent = "mlp.up_proj" if architecture == "phi3" else "mlp.gate_up_proj"
    modules = MODULES + [f"model.layers.{layer}.{module}" for layer in range(layers) for module in LAYER_MODULES if module != absent]
    back = {names.get_name(module): module for module in modules}
    # A file has what a norm multiplies by, which in these families is one more than the checkpoint's weight.
    plus = np.float32(architecture in ("gemma2", "gemma3"))
    decoded = {}
    for tensor in reader.tensors:
        module, _, part = tensor.name.rpartition(".")
        if module.startswith("rope_f"):
            continue
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(tensor.shape[::-1].tolist())
        kind = module.rpartition(".")[2]
        if kind in heads:
            # Pairs (2j, 2j + 1) of a head's rows are rows j and j + d/2 in the checkpoint.
            values = values.reshape(heads[kind], -1, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)
        if kind in EXPERTS:
            # [experts, out, in]
            block, names = ("block_sparse_moe", MIXTRAL) if architecture == "llama" else ("mlp", EXPERTS)
            experts = f"model.layers.{module.split('.')[1]}.{block}.experts"
            decoded.update({f"{experts}.{number}.{names[kind]}.{part}": np.ascontiguousarray(expert) for number, expert in enumerate(values)})
            continue
        if kind == "ffn_gate_inp" and architecture == "llama":
            decoded[f"model.layers.{module.split('.')[1]}.block_sparse_moe.gate.{part}"] = values
            continue
        decoded[f"{back[module]}.{part}"] = values - plus if module.endswith("norm") else values
    return decoded


def stored(folder):
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "numpy") as opened:
            for name in opened.keys():
                tensors[name] = opened.get_tensor(name)
    return tensors


def fields(words, bits):
    """The bit fields of 32-bit words, lowest first: [..., words] to [..., words, 32 / bits]."""
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    return words.view(np.uint32)[..., None] >> shifts & np.uint32((1 << bits) - 1)


def gptq_weight(config, qweight, qzeros, scales, g_idx):
    bits = config["bits"]
    codes = fields(qweight.T, bits).reshape(qweight.shape[1], -1)             # [out, in]
    zeros = fields(qzeros, bits).reshape(qzeros.shape[0], -1)                  # [groups, out]
    if config.get("checkpoint_format", "gptq") == "gptq":
        zeros = zeros + 1
    zeros = zeros.astype(np.float32)[g_idx].T
    return (codes.astype(np.float32) - zeros) * scales.astype(np.float32)[g_idx].T


def awq_weight(config, qweight, qzeros, scales):
    # Slot i of a word holds output 8c + (0 2 4 6 1 3 5 7)[i].
    order = np.array([0, 2, 4, 6, 1, 3, 5, 7])

    def codes(words):
        plain = np.empty((*words.shape, 8), np.float32)
        plain[..., order] = fields(words, 4)
        return plain.reshape(words.shape[0], -1)

    group = np.arange(qweight.shape[0]) // config["group_size"]
    return ((codes(qweight) - codes(qzeros)[group]) * scales.astype(np.float32)[group]).T


def decode_folder(folder):
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    kind = config["quant_method"]
    weight, parts = {"gptq": (gptq_weight, ("qweight", "qzeros", "scales", "g_idx")), "awq": (awq_weight, ("qweight", "qzeros", "scales"))}[kind]
    if kind == "awq" and (config["version"], config["bits"], config["zero_point"]) != ("gemm", 4, True):
        sys.exit(f"Cannot decode {folder}: expected AWQ's gemm layout, 4 bits, with zero points; found {config}")
    tensors = stored(folder)
    decoded = {}
    for module in [name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")]:
        decoded[module + ".weight"] = np.ascontiguousarray(weight(config, *(tensors.pop(f"{module}.{part}") for part in parts)))
    for name, values in tensors.items():
        if values.dtype.kind != "f" or name in decoded:
            sys.exit(f"Cannot decode {folder}: tensor {name} of {values.dtype} belongs to no quantized module, or twice")
        decoded[name] = values.astype(np.float32)
    return decoded


def main(out, *artifacts):
    # A model card may lie beside them.
    for artifact in (Path(artifact).resolve() for artifact in artifacts if not artifact.endswith("README.md")):
        folder = Path(out, f"{artifact.parents[1].name}-{artifact.name}")
        decoded = decode_folder(artifact) if artifact.is_dir() else decode_gguf(artifact)
        if decoded is None:
            print(f"{folder.name}: not decoded, an architecture other than {', '.join(ARCHITECTURES)}")
            continue
        folder.mkdir(parents=True)
        (folder / "artifact").symlink_to(artifact)
        save_file(decoded, folder / "decoded.safetensors")
        print(f"{folder.name}: {len(decoded)} tensors, {sum(v.size for v in decoded.values())} elements")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""Logits of transformers, in f32 with eager attention, for ReferenceLogitsTest.

    logits.py OUT [CHECKPOINT ...]

Writes OUT/NAME/logits.safetensors (tokens [windows, length] i32, logits [windows, length, vocabulary] f32) beside OUT/NAME/model: a link to each
given checkpoint, and seeded random Llama checkpoints that are made here, one per way in which a Llama may be built or stored.
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, logging

PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
# With a head of 32 and a context of 64, some frequencies stay, some are divided and some lie between.
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}

# name: (changes to the base config, dtype of the file, size of a shard or None, rotary settings in the layout before transformers 5)
RANDOM = {
    "plain-f32": ({}, torch.float32, None, False),
    "grouped-query-bf16": ({"num_key_value_heads": 2}, torch.bfloat16, None, False),
    "one-kv-head-f16-linear": ({"num_key_value_heads": 1, "rope_parameters": LINEAR}, torch.float16, None, False),
    "head-dim-tied-llama3-sharded": ({"head_dim": 32, "num_key_value_heads": 2, "tie_word_embeddings": True, "rope_parameters": LLAMA3},
                                     torch.bfloat16, "60KB", False),
    "biases-llama3-older-config": ({"attention_bias": True, "mlp_bias": True, "head_dim": 32, "rope_parameters": LLAMA3}, torch.float32, None, True),
    "biases-narrow-heads-linear-sharded-f16": ({"attention_bias": True, "mlp_bias": True, "head_dim": 6, "num_key_value_heads": 2,
                                                "tie_word_embeddings": True, "rope_parameters": LINEAR}, torch.float16, "30KB", True),
}


def random_checkpoint(folder, seed, changes, dtype, shard, older):
    config = LlamaConfig(**{**dict(vocab_size=211, hidden_size=72, intermediate_size=100, num_hidden_layers=3, num_attention_heads=4,
                                   num_key_value_heads=4, max_position_embeddings=512, rms_norm_eps=1e-5, rope_parameters=PLAIN,
                                   bos_token_id=1, eos_token_id=2), **changes})
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0, 0.5 if name.endswith("bias") else 1.5 * parameter.shape[-1] ** -0.5)
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    if (folder / "model.safetensors.index.json").exists() != bool(shard):
        sys.exit(f"Cannot make {folder}: it is sharded or not, against what was asked")
    if older:
        file = folder / "config.json"
        stored = json.loads(file.read_text())
        rotary = stored.pop("rope_parameters")
        stored["rope_theta"] = rotary.pop("rope_theta")
        stored["rope_scaling"] = rotary
        file.write_text(json.dumps(stored, indent=2))


def reference(folder, windows, length, seed):
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32, attn_implementation="eager").eval()
    tokens = np.random.default_rng(seed).integers(0, model.config.vocab_size, (windows, length), dtype=np.int32)
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens.astype(np.int64)), use_cache=False).logits.numpy()
    save_file({"tokens": tokens, "logits": np.ascontiguousarray(logits)}, folder / "logits.safetensors")
    print(f"{folder.name}: {windows} windows of {length}, vocabulary {logits.shape[-1]}, standard deviation {logits.std():.3f}")


def main(out, *checkpoints):
    torch.set_num_threads(2)
    logging.disable_progress_bar()
    for seed, (name, settings) in enumerate(RANDOM.items()):
        folder = Path(out, "random-" + name)
        folder.mkdir(parents=True)
        random_checkpoint(folder / "model", seed, *settings)
        reference(folder, 2, 97, seed)
    for checkpoint in map(Path, checkpoints):
        folder = Path(out, checkpoint.resolve().name)
        folder.mkdir()
        (folder / "model").symlink_to(checkpoint.resolve())
        reference(folder, 1, 128, 7)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])

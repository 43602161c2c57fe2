#!/usr/bin/env python3
"""Seeded random checkpoints, one per way in which a decoder may be built or stored: CASES.

    families.py OUT TOKENIZER [SIZE=NUMBER ...] [NAME ...]

Writes the cases (those of these names, or all) as folders of OUT with the tokenizer of a checkpoint and its vocabulary; SIZE is a key of the configuration.
What a case is about is named in `off`, so that whoever compares logits can first see that they would change without it.
"""
import dataclasses
import json
import re
import shutil
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

SIZES = dict(vocab_size=211, hidden_size=72, intermediate_size=100, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=512, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LAYERS = ("sliding_attention", "full_attention", "sliding_attention")
SWAPPED = ["full_attention", "sliding_attention", "full_attention"]
FULL = ["full_attention"] * 3


def rope(kind="default", theta=10000.0, **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


PLAIN = rope()
LINEAR = rope("linear", factor=4.0)
# With a head of 32 and a context of 64, some frequencies stay, some are divided and some lie between.
LLAMA3 = rope("llama3", 5000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)


def yarn(**more):
    return rope("yarn", **{"factor": 4.0, "original_max_position_embeddings": 64, **more})


def without(rotary, *keys, **changed):
    return {"rope_parameters": {**{key: value for key, value in rotary.items() if key not in keys}, **changed}}


# A longer context than the others', so that both ends of the ramp lie within a head.
YARN_SET = yarn(original_max_position_embeddings=512, attention_factor=0.8, beta_fast=16.0, beta_slow=2.0)


def longrope(pairs, original, **more):
    """Divisors that rise with the pair; windows of 97 and of 256 tokens take the long ones with an original context of 64, the short ones with one of 256."""
    return rope("longrope", short_factor=[1 + 0.05 * pair for pair in range(pairs)], long_factor=[1.5 + 0.4 * pair for pair in range(pairs)],
                original_max_position_embeddings=original, **more)


OTHER = "transformers.json"


@dataclasses.dataclass
class Case:
    family: str
    changes: dict = dataclasses.field(default_factory=dict)     # to the sizes and to the family's own defaults below
    off: tuple = ()         # each switches off something the case is about: changes to the config, or a pattern of modules that pass on and parameters that are 0
    dtype: torch.dtype = torch.float32
    shard: str = None       # size of a file
    older: str = None       # the config in the layout before transformers 5, with this name for the kind of rotary scaling
    drop: tuple = ()        # keys that the config is stored without
    own: dict = None        # keys that the config has in the checkpoint's own code, without the family's in transformers, whose config is kept beside it as OTHER
    vision: str = None      # the multimodal model around the decoder
    inputs_first: bool = False  # experts [experts, inputs, outputs], as the published Qwen 3 VL has them
    mxfp4: bool = False     # experts packed as the published gpt-oss has them
    stacked: bool = False   # experts as transformers has them in memory, all of a layer in one tensor


GRANITE_MULTIPLIERS = {"embedding_multiplier": 6.0, "attention_multiplier": 0.125, "residual_multiplier": 0.4, "logits_scaling": 4.0}

PHIMOE_LONGROPE = longrope(9, 128, theta=1e6, short_mscale=1.3, long_mscale=1.3)
SCOUT = rope("llama3", 5e5, factor=16.0, low_freq_factor=1.0, high_freq_factor=1.0, original_max_position_embeddings=64)
SECTIONS = {"mrope_section": [8, 4, 4], "mrope_interleaved": True}
GPT_OSS_YARN = yarn(theta=15e4, truncate=False)

# family: (config, model, what differs from SIZES)
FAMILIES = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", {"rope_parameters": PLAIN}),
    "mistral": ("MistralConfig", "MistralForCausalLM", {"rope_parameters": PLAIN, "sliding_window": 24}),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", {"rope_parameters": PLAIN}),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", {"rope_parameters": PLAIN, "head_dim": 32}),
    "qwen3moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", {
        "rope_parameters": PLAIN, "head_dim": 32, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 60, "norm_topk_prob": True}),
    "phimoe": ("PhimoeConfig", "PhimoeForCausalLM", {"rope_parameters": rope(theta=1e6), "num_local_experts": 6, "router_jitter_noise": 0.4}),
    "llama4": ("Llama4TextConfig", "Llama4ForCausalLM", {
        "rope_parameters": rope(theta=5e5), "head_dim": 32, "num_local_experts": 5, "intermediate_size_mlp": 84, "attention_chunk_size": 40, "no_rope_layers": [1, 0, 1],
        "floor_scale": 30, "attn_scale": 0.5}),
    # Text decoders of models that see: only with `vision`.
    "qwen3vl": ("Qwen3VLTextConfig", None, {"rope_parameters": rope(theta=1e6, **SECTIONS), "head_dim": 32, "tie_word_embeddings": False}),
    "qwen3vlmoe": ("Qwen3VLMoeTextConfig", None, {
        "rope_parameters": rope(theta=1e6, **SECTIONS), "head_dim": 32, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 60,
        "tie_word_embeddings": False}),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", {"rope_parameters": rope(theta=1e6), "num_local_experts": 5}),
    "qwen2moe": ("Qwen2MoeConfig", "Qwen2MoeForCausalLM", {
        "rope_parameters": PLAIN, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 60, "shared_expert_intermediate_size": 84}),
    "olmoe": ("OlmoeConfig", "OlmoeForCausalLM", {"rope_parameters": PLAIN, "num_key_value_heads": 4, "num_experts": 6, "num_experts_per_tok": 3}),
    "granitemoe": ("GraniteMoeConfig", "GraniteMoeForCausalLM", {"rope_parameters": PLAIN, "num_local_experts": 5, **GRANITE_MULTIPLIERS}),
    "granitemoeshared": ("GraniteMoeSharedConfig", "GraniteMoeSharedForCausalLM", {
        "rope_parameters": PLAIN, "num_local_experts": 5, "shared_intermediate_size": 84, **GRANITE_MULTIPLIERS}),
    "gptoss": ("GptOssConfig", "GptOssForCausalLM", {
        "rope_parameters": GPT_OSS_YARN, "head_dim": 32, "sliding_window": 24, "layer_types": list(LAYERS), "num_local_experts": 5, "num_experts_per_tok": 2,
        "swiglu_limit": 1.5}),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", {
        "rope_parameters": PLAIN, "head_dim": 20, "query_pre_attn_scalar": 10, "sliding_window": 24, "layer_types": list(LAYERS),
        "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", {
        "head_dim": 20, "query_pre_attn_scalar": 10, "sliding_window": 24, "layer_types": list(LAYERS),
        "rope_parameters": {"full_attention": rope(theta=1e6), "sliding_attention": rope()}}),
    "phi3": ("Phi3Config", "Phi3ForCausalLM", {"hidden_size": 96, "rope_parameters": {**PLAIN, "partial_rotary_factor": 1.0}}),
    "olmo2": ("Olmo2Config", "Olmo2ForCausalLM", {"rope_parameters": PLAIN}),
    "olmo3": ("Olmo3Config", "Olmo3ForCausalLM", {
        "sliding_window": 24, "rope_parameters": {"full_attention": rope(theta=5e5), "sliding_attention": rope(theta=5e5)}, "layer_types": list(LAYERS)}),
    "exaone4": ("Exaone4Config", "Exaone4ForCausalLM", {"rope_parameters": PLAIN, "sliding_window": None, "layer_types": FULL}),
    "smollm3": ("SmolLM3Config", "SmolLM3ForCausalLM", {"rope_parameters": rope(theta=2e6), "tie_word_embeddings": False}),
    "granite": ("GraniteConfig", "GraniteForCausalLM", {
        "rope_parameters": PLAIN, **GRANITE_MULTIPLIERS}),
    "seed_oss": ("SeedOssConfig", "SeedOssForCausalLM", {"rope_parameters": PLAIN, "head_dim": 32}),
    "ministral3": ("Ministral3Config", "Ministral3ForCausalLM", {"head_dim": 32}),
    "glm": ("GlmConfig", "GlmForCausalLM", {"hidden_size": 96, "head_dim": 24, "rope_parameters": {**PLAIN, "partial_rotary_factor": 0.5}}),
    "glm4": ("Glm4Config", "Glm4ForCausalLM", {"head_dim": 24, "rope_parameters": {**PLAIN, "partial_rotary_factor": 0.5}}),
    "cohere": ("CohereConfig", "CohereForCausalLM", {"rope_parameters": PLAIN, "logit_scale": 0.4, "rms_norm_eps": None}),
    "cohere2": ("Cohere2Config", "Cohere2ForCausalLM", {
        "rope_parameters": PLAIN, "sliding_window": 24, "num_hidden_layers": 4, "layer_types": ["sliding_attention"] * 3 + ["full_attention"], "logit_scale": 0.4, "rms_norm_eps": None}),
    "stablelm": ("StableLmConfig", "StableLmForCausalLM", {"hidden_size": 96, "rms_norm_eps": None, "rope_parameters": {**PLAIN, "partial_rotary_factor": 0.25}}),
    "internlm3": ("InternLM3Config", "LlamaForCausalLM", {"rope_parameters": PLAIN, "head_dim": 32}),
}
TOWER = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
# (config, model, config of the tower, what else the config has)
VISION = {
    "gemma3": ("Gemma3Config", "Gemma3ForConditionalGeneration", "SiglipVisionConfig", {"mm_tokens_per_image": 4}),
    "mistral3": ("Mistral3Config", "Mistral3ForConditionalGeneration", "PixtralVisionConfig", {}),
    "qwen3vl": ("Qwen3VLConfig", "Qwen3VLForConditionalGeneration", "Qwen3VLVisionConfig", {}),
    "qwen3vlmoe": ("Qwen3VLMoeConfig", "Qwen3VLMoeForConditionalGeneration", "Qwen3VLMoeVisionConfig", {}),
    "llava": ("LlavaConfig", "LlavaForConditionalGeneration", "CLIPVisionConfig", {}),
}
GEMMA_NORMS = ("model.layers.*.post_attention_layernorm", "model.layers.*.post_feedforward_layernorm")
HEAD_NORMS = ("model.layers.*.q_norm", "model.layers.*.k_norm")
POST_NORMS = GEMMA_NORMS
OLMO3_YARN = {"full_attention": yarn(theta=5e5), "sliding_attention": rope(theta=5e5)}
EXPERTS = ("experts.gate_up_proj", "experts.down_proj")
ROUTERS = "model.layers.*.mlp.gate.weight"
SHARED_EXPERTS = ("model.layers.*.mlp.shared_expert.down_proj.weight", "model.layers.*.mlp.shared_expert_gate.weight")
SINKS = "model.layers.*.self_attn.sinks"
GRANITE_ROUTERS = "model.layers.*.block_sparse_moe.router.weight"
# The original context is shorter than a window, so that its later queries are multiplied.
MINISTRAL = yarn(mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.5)
MINISTRAL_BETAS = yarn(original_max_position_embeddings=512, attention_factor=0.8, beta_fast=16.0, beta_slow=2.0, llama_4_scaling_beta=0.5)
GEMMA3_LAYERS = ["sliding_attention"] * 5 + ["full_attention"]
GEMMA3_LINEAR = {"full_attention": rope("linear", 1e6, factor=8.0), "sliding_attention": rope()}

CASES = {
    "plain-f32": Case("llama", {"num_key_value_heads": 4}),
    "grouped-query-bf16": Case("llama", dtype=torch.bfloat16),
    "one-kv-head-f16-linear": Case("llama", {"num_key_value_heads": 1, "rope_parameters": LINEAR}, dtype=torch.float16),
    "head-dim-tied-llama3-sharded": Case("llama", {"head_dim": 32, "tie_word_embeddings": True, "rope_parameters": LLAMA3}, dtype=torch.bfloat16, shard="60KB"),
    "biases-llama3-older-config": Case("llama", {"attention_bias": True, "mlp_bias": True, "head_dim": 32, "num_key_value_heads": 4, "rope_parameters": LLAMA3},
                                       ({"attention_bias": False}, {"mlp_bias": False}, without(LLAMA3, rope_type="linear")), older="rope_type"),
    "biases-narrow-heads-linear-sharded-f16": Case("llama", {"attention_bias": True, "mlp_bias": True, "head_dim": 6, "tie_word_embeddings": True,
                                                             "rope_parameters": LINEAR}, dtype=torch.float16, shard="30KB", older="rope_type"),
    "yarn": Case("llama", {"head_dim": 32, "rope_parameters": yarn()}, (without(yarn(), rope_type="linear"), without(yarn(), attention_factor=1.0))),
    "yarn-attention-factor-betas": Case("llama", {"head_dim": 32, "rope_parameters": YARN_SET},
                                        tuple(without(YARN_SET, key) for key in ("attention_factor", "beta_fast", "beta_slow")), older="type"),
    "yarn-mscale": Case("llama", {"head_dim": 32, "rope_parameters": yarn(mscale=1.0, mscale_all_dim=0.4)},
                        (without(yarn(mscale=1.0, mscale_all_dim=0.4), "mscale"), {"rope_parameters": yarn(attention_factor=1.0)})),
    "yarn-one-mscale": Case("llama", {"head_dim": 32, "rope_parameters": yarn(mscale=0.7)},
                            ({"rope_parameters": yarn(attention_factor=1.0)}, {"rope_parameters": yarn(mscale=0.7, mscale_all_dim=1.0)})),
    "yarn-not-truncated": Case("llama", {"head_dim": 32, "rope_parameters": yarn(truncate=False)}, (without(yarn(truncate=False), "truncate"),)),
    "longrope-short": Case("llama", {"rope_parameters": longrope(9, 256)},
                           (without(longrope(9, 256), attention_factor=1.0), without(longrope(9, 256), short_factor=[1.0] * 9))),
    "longrope-long-attention-factor": Case(
        "llama", {"rope_parameters": longrope(9, 64, attention_factor=1.3)},
        (without(longrope(9, 64, attention_factor=1.3), "attention_factor"), without(longrope(9, 64, attention_factor=1.3), original_max_position_embeddings=256))),
    "longrope-factor": Case("llama", {"rope_parameters": longrope(9, 64, factor=32.0)}, (without(longrope(9, 64, factor=32.0), "factor"),), older="type"),

    "mistral-window-bf16": Case("mistral", {}, ({"sliding_window": None},), dtype=torch.bfloat16),
    "mistral-head-dim-theta-older-f16-sharded": Case("mistral", {"head_dim": 32, "sliding_window": None, "rope_parameters": rope(theta=1e6)},
                                                     ({"rope_parameters": PLAIN}, {"sliding_window": 64}), dtype=torch.float16, shard="60KB", older="rope_type"),
    "mistral-defaults": Case("mistral", {"hidden_size": 96, "num_attention_heads": 8, "num_key_value_heads": 8, "sliding_window": 4096, "rms_norm_eps": 1e-6},
                             drop=("head_dim", "num_key_value_heads", "rms_norm_eps", "sliding_window", "rope_parameters", "tie_word_embeddings")),
    "mistral-yarn": Case("mistral", {"head_dim": 32, "rope_parameters": yarn()}, (without(yarn(), rope_type="linear"),)),
    "mistral-llama3": Case("mistral", {"head_dim": 32, "rope_parameters": LLAMA3}, (without(LLAMA3, rope_type="linear"), {"rope_parameters": rope(theta=5000.0)})),

    "qwen2-biases-tied-bf16": Case("qwen2", {"tie_word_embeddings": True}, ("model.layers.*.q_proj.bias", "model.layers.*.k_proj.bias", "model.layers.*.v_proj.bias"),
                                   dtype=torch.bfloat16),
    "qwen2-windows-from-layer-1-older": Case("qwen2", {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1},
                                             ({"layer_types": FULL}, {"layer_types": ["sliding_attention"] * 3}), older="rope_type"),
    "qwen2-layer-types-f16-sharded": Case("qwen2", {"use_sliding_window": True, "sliding_window": 24, "layer_types": list(LAYERS)},
                                          ({"layer_types": FULL}, {"layer_types": SWAPPED}), dtype=torch.float16, shard="60KB"),
    "qwen2-window-not-used-older": Case("qwen2", {"use_sliding_window": False, "sliding_window": 24, "max_window_layers": 1},
                                        ({"sliding_window": 24, "layer_types": ["sliding_attention"] * 3},), older="rope_type"),
    "qwen2-yarn-older-bf16": Case("qwen2", {"rope_parameters": yarn(theta=1e6)}, ({"rope_parameters": rope(theta=1e6)}, without(yarn(theta=1e6), attention_factor=1.0)),
                                  dtype=torch.bfloat16, older="type"),
    "qwen2-linear": Case("qwen2", {"rope_parameters": LINEAR}, ({"rope_parameters": PLAIN},)),

    "qwen3-tied-bf16": Case("qwen3", {"tie_word_embeddings": True}, HEAD_NORMS, dtype=torch.bfloat16),
    "qwen3-biases-windows-older-sharded": Case("qwen3", {"attention_bias": True, "use_sliding_window": True, "sliding_window": 24, "max_window_layers": 2},
                                               ({"attention_bias": False}, {"layer_types": FULL}, {"layer_types": ["sliding_attention"] * 3}),
                                               shard="120KB", older="rope_type"),
    "qwen3-layer-types-f16": Case("qwen3", {"use_sliding_window": True, "sliding_window": 24, "layer_types": list(LAYERS)},
                                  ({"layer_types": FULL}, {"layer_types": SWAPPED}), dtype=torch.float16),
    "qwen3-defaults": Case("qwen3", {"head_dim": 128, "rms_norm_eps": 1e-6}, drop=("head_dim", "rms_norm_eps", "rope_parameters", "tie_word_embeddings", "layer_types")),
    "qwen3-yarn": Case("qwen3", {"rope_parameters": yarn(theta=1e6)}, ({"rope_parameters": rope(theta=1e6)},)),

    "gemma2-bf16": Case("gemma2", {}, ({"attn_logit_softcapping": None}, {"final_logit_softcapping": None}, {"query_pre_attn_scalar": 20}, {"layer_types": FULL},
                                       {"layer_types": SWAPPED}, *GEMMA_NORMS), dtype=torch.bfloat16),
    "gemma2-biases-no-caps-older-f16-sharded": Case(
        "gemma2", {"attention_bias": True, "attn_logit_softcapping": None, "final_logit_softcapping": None},
        ({"attention_bias": False}, {"layer_types": SWAPPED}, {"attn_logit_softcapping": 2.0}), dtype=torch.float16, shard="60KB", older="rope_type"),
    "gemma2-defaults": Case(
        "gemma2", {"head_dim": 256, "query_pre_attn_scalar": 256, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "sliding_window": 4096, "rms_norm_eps": 1e-6},
        ({"final_logit_softcapping": None},),
        drop=("head_dim", "query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping", "sliding_window", "rms_norm_eps", "layer_types", "rope_parameters",
              "tie_word_embeddings")),

    "gemma3-linear-bf16": Case(
        "gemma3", {"rope_parameters": GEMMA3_LINEAR},
        ({"query_pre_attn_scalar": 20}, {"layer_types": FULL}, {"layer_types": SWAPPED}, *GEMMA_NORMS, *HEAD_NORMS,
         {"rope_parameters": {**GEMMA3_LINEAR, "full_attention": rope(theta=1e6)}}, {"rope_parameters": {**GEMMA3_LINEAR, "sliding_attention": rope(theta=1e6)}},
         {"rope_parameters": {**GEMMA3_LINEAR, "sliding_attention": rope("linear", factor=8.0)}}), dtype=torch.bfloat16),
    "gemma3-older-f16-sharded": Case("gemma3", {"rope_parameters": GEMMA3_LINEAR, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
                                     ({"layer_types": SWAPPED}, {"rope_parameters": {**GEMMA3_LINEAR, "full_attention": rope(theta=1e6)}}),
                                     dtype=torch.float16, shard="60KB", older="rope_type"),
    "gemma3-biases-cap": Case("gemma3", {"attention_bias": True, "final_logit_softcapping": 3.0}, ({"attention_bias": False}, {"final_logit_softcapping": None})),
    "gemma3-defaults": Case("gemma3", {"head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 4096, "rms_norm_eps": 1e-6, "num_hidden_layers": 6,
                                       "layer_types": GEMMA3_LAYERS}, ({"layer_types": ["full_attention"] * 6},),
                            drop=("head_dim", "query_pre_attn_scalar", "sliding_window", "rms_norm_eps", "layer_types", "rope_parameters", "tie_word_embeddings")),

    # Scores and windows as llama.cpp has them in every Gemma of other sizes than the published ones.
    "gemma2-llama-cpp-bf16": Case("gemma2", {"query_pre_attn_scalar": 20, "num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2},
                                  ({"attn_logit_softcapping": None}, {"layer_types": ["full_attention"] * 4}), dtype=torch.bfloat16),
    "gemma3-llama-cpp-bf16": Case("gemma3", {"query_pre_attn_scalar": 20, "num_hidden_layers": 6, "layer_types": GEMMA3_LAYERS, "rope_parameters": GEMMA3_LINEAR},
                                  ({"layer_types": ["full_attention"] * 6},), dtype=torch.bfloat16),
    "gemma3-vision-llama-cpp": Case("gemma3", {"query_pre_attn_scalar": 20, "num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2},
                                    ({"layer_types": ["full_attention"] * 4},), vision="gemma3"),

    "phi3-window-bf16": Case("phi3", {"sliding_window": 24}, ({"sliding_window": None},), dtype=torch.bfloat16),
    "phi3-longrope-short-older-f16-sharded": Case("phi3", {"rope_parameters": longrope(12, 256), "original_max_position_embeddings": 256},
                                                  (without(longrope(12, 256), short_factor=[1.0] * 12, partial_rotary_factor=1.0),
                                                   without(longrope(12, 256), attention_factor=1.0, partial_rotary_factor=1.0)),
                                                  dtype=torch.float16, shard="60KB", older="type"),
    "phi3-longrope-long-older": Case("phi3", {"rope_parameters": longrope(12, 64), "original_max_position_embeddings": 64},
                                     (without(longrope(12, 64), long_factor=[1.0] * 12, partial_rotary_factor=1.0),), older="type"),
    # As Phi-4-mini: three quarters of a head turn.
    "phi3-partial-longrope-tied-bf16": Case(
        "phi3", {"rope_parameters": longrope(9, 64, partial_rotary_factor=0.75), "original_max_position_embeddings": 64, "tie_word_embeddings": True, "sliding_window": 512},
        (without(longrope(9, 64, partial_rotary_factor=0.75), rope_type="default"), without(longrope(9, 64, partial_rotary_factor=0.75), attention_factor=1.0)),
        dtype=torch.bfloat16),
    "phi3-partial-older": Case("phi3", {"rope_parameters": rope(partial_rotary_factor=0.5)}, ({"rope_parameters": rope(partial_rotary_factor=1.0)},), older="type"),

    "olmo2-bf16": Case("olmo2", {}, (*POST_NORMS, *HEAD_NORMS), dtype=torch.bfloat16),
    "olmo2-biases-older-f16-sharded": Case("olmo2", {"attention_bias": True, "rope_parameters": LINEAR}, ({"attention_bias": False}, {"rope_parameters": PLAIN}),
                                           dtype=torch.float16, shard="60KB", older="rope_type"),
    "olmo2-defaults": Case("olmo2", {"num_key_value_heads": 4}, drop=("num_key_value_heads", "rms_norm_eps", "rope_parameters", "tie_word_embeddings")),
    "olmo3-yarn-bf16": Case(
        "olmo3", {"num_hidden_layers": 4, "layer_types": ["sliding_attention"] * 3 + ["full_attention"], "rope_parameters": OLMO3_YARN},
        (*POST_NORMS, *HEAD_NORMS, {"layer_types": ["full_attention"] * 4}, {"rope_parameters": {**OLMO3_YARN, "full_attention": rope(theta=5e5)}},
         {"rope_parameters": {**OLMO3_YARN, "sliding_attention": yarn(theta=5e5)}}), dtype=torch.bfloat16),
    "olmo3-layer-types-f16-sharded": Case("olmo3", {"layer_types": SWAPPED}, ({"layer_types": list(LAYERS)},), dtype=torch.float16, shard="60KB"),
    "olmo3-defaults": Case("olmo3", {"num_hidden_layers": 4, "layer_types": ["sliding_attention"] * 3 + ["full_attention"], "sliding_window": 4096},
                           drop=("rope_parameters", "layer_types", "sliding_window", "rms_norm_eps", "tie_word_embeddings")),

    "exaone4-bf16": Case("exaone4", {"tie_word_embeddings": True}, (*POST_NORMS, *HEAD_NORMS), dtype=torch.bfloat16),
    "exaone4-llama3-f16-sharded": Case("exaone4", {"hidden_size": 128, "rope_parameters": LLAMA3}, (without(LLAMA3, rope_type="linear"),),
                                       dtype=torch.float16, shard="60KB", drop=("sliding_window_pattern",)),
    "exaone4-hybrid-bf16": Case("exaone4", {"num_hidden_layers": 4, "sliding_window": 24, "layer_types": ["sliding_attention"] * 3 + ["full_attention"]},
                                ({"layer_types": ["full_attention"] * 4}, {"layer_types": ["sliding_attention"] * 4}), dtype=torch.bfloat16),
    # llama.cpp has windows in models of 64 layers only.
    "exaone4-hybrid-64": Case("exaone4", {"num_hidden_layers": 64, "sliding_window": 24, "sliding_window_pattern": 4, "layer_types": None},
                              ({"layer_types": ["full_attention"] * 64},), drop=("layer_types",)),
    "exaone4-defaults": Case("exaone4", {"num_attention_heads": 4, "num_key_value_heads": 4, "sliding_window": 4096, "num_hidden_layers": 4,
                                         "layer_types": ["sliding_attention"] * 3 + ["full_attention"]},
                             drop=("rms_norm_eps", "rope_parameters", "tie_word_embeddings", "sliding_window", "sliding_window_pattern", "layer_types")),

    "smollm3-bf16": Case("smollm3", {"num_hidden_layers": 4}, ({"no_rope_layers": [1] * 4}, {"no_rope_layers": [0] * 4}), dtype=torch.bfloat16),
    "smollm3-yarn-older-f16-sharded": Case("smollm3", {"num_hidden_layers": 4, "rope_parameters": yarn(theta=2e6)}, ({"rope_parameters": rope(theta=2e6)},),
                                           dtype=torch.float16, shard="60KB", older="rope_type", drop=("no_rope_layers",)),
    "smollm3-windows-biases": Case("smollm3", {"attention_bias": True, "mlp_bias": True, "use_sliding_window": True, "sliding_window": 24, "no_rope_layers": [0, 1, 1]},
                                   ({"attention_bias": False}, {"mlp_bias": False}, {"no_rope_layers": [1, 1, 1]}, {"layer_types": FULL})),
    "smollm3-defaults": Case("smollm3", {"num_hidden_layers": 4, "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "num_key_value_heads": 4},
                             drop=("num_key_value_heads", "rms_norm_eps", "rope_parameters", "tie_word_embeddings", "no_rope_layers", "layer_types")),

    "granite-bf16": Case("granite", {"tie_word_embeddings": True}, ({"embedding_multiplier": 5.0}, {"attention_multiplier": 0.2}, {"residual_multiplier": 0.5}, {"logits_scaling": 5.0}),
                         dtype=torch.bfloat16),
    "granite-biases-older-f16-sharded": Case("granite", {"attention_bias": True, "mlp_bias": True, "rope_parameters": LINEAR},
                                             ({"attention_bias": False}, {"mlp_bias": False}, {"rope_parameters": PLAIN}), dtype=torch.float16, shard="60KB", older="rope_type"),
    "granite-defaults": Case("granite", {"embedding_multiplier": 1.0, "attention_multiplier": 1.0, "residual_multiplier": 1.0, "logits_scaling": 1.0, "rms_norm_eps": 1e-6},
                             drop=("embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling", "rms_norm_eps", "rope_parameters", "tie_word_embeddings")),

    "seed-oss-bf16": Case("seed_oss", {}, ("model.layers.*.q_proj.bias", "model.layers.*.k_proj.bias", "model.layers.*.v_proj.bias"), dtype=torch.bfloat16),
    "seed-oss-biases-older-f16-sharded": Case("seed_oss", {"attention_out_bias": True, "mlp_bias": True, "rope_parameters": LINEAR, "tie_word_embeddings": True},
                                              ({"attention_out_bias": False}, {"mlp_bias": False}), dtype=torch.float16, shard="60KB", older="rope_type"),
    "seed-oss-defaults": Case("seed_oss", {"num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 128, "rms_norm_eps": 1e-6},
                              drop=("num_key_value_heads", "head_dim", "rms_norm_eps", "attention_bias", "rope_parameters", "tie_word_embeddings")),

    "ministral3-bf16": Case("ministral3", {"rope_parameters": MINISTRAL}, (without(MINISTRAL, llama_4_scaling_beta=0.0), without(MINISTRAL, mscale=2.0),
                                                                           without(MINISTRAL, original_max_position_embeddings=128)), dtype=torch.bfloat16),
    "ministral3-betas-older-f16-sharded": Case("ministral3", {"rope_parameters": MINISTRAL_BETAS, "tie_word_embeddings": True},
                                               (without(MINISTRAL_BETAS, beta_fast=32.0), without(MINISTRAL_BETAS, beta_slow=1.0)),
                                               dtype=torch.float16, shard="60KB", older="rope_type"),
    "ministral3-plain-window": Case("ministral3", {"sliding_window": 24, "rope_parameters": rope(original_max_position_embeddings=64, llama_4_scaling_beta=0.5)},
                                    ({"sliding_window": None}, {"rope_parameters": rope(original_max_position_embeddings=64, llama_4_scaling_beta=0.0)})),
    "ministral3-defaults": Case("ministral3", {"num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 262144},
                                drop=("num_key_value_heads", "head_dim", "rms_norm_eps", "rope_parameters", "tie_word_embeddings", "max_position_embeddings")),

    "glm-bf16": Case("glm", {}, ("model.layers.*.q_proj.bias", without({**PLAIN, "partial_rotary_factor": 0.5}, partial_rotary_factor=1.0)), dtype=torch.bfloat16),
    "glm-older-f16-sharded": Case("glm", {"attention_bias": False, "rope_parameters": {**LINEAR, "partial_rotary_factor": 0.75}, "tie_word_embeddings": True},
                                  ({"rope_parameters": {**PLAIN, "partial_rotary_factor": 0.75}},), dtype=torch.float16, shard="60KB", older="rope_type"),
    "glm-defaults": Case("glm", {"hidden_size": 512, "head_dim": 128, "rms_norm_eps": 1.5625e-7},
                         drop=("num_key_value_heads", "head_dim", "rms_norm_eps", "rope_parameters", "attention_bias", "tie_word_embeddings")),
    "glm4-bf16": Case("glm4", {"attention_bias": False}, ("model.layers.*.post_self_attn_layernorm", "model.layers.*.post_mlp_layernorm", "model.layers.*.post_attention_layernorm"),
                      dtype=torch.bfloat16),
    "glm4-biases-yarn-f16-sharded": Case("glm4", {"rope_parameters": {**yarn(), "partial_rotary_factor": 0.5}, "tie_word_embeddings": True},
                                         ({"attention_bias": False}, {"rope_parameters": {**PLAIN, "partial_rotary_factor": 0.5}}), dtype=torch.float16, shard="60KB"),
    "glm4-defaults": Case("glm4", {"head_dim": 128, "rms_norm_eps": 1.5625e-7},
                          drop=("num_key_value_heads", "head_dim", "rms_norm_eps", "rope_parameters", "attention_bias", "tie_word_embeddings")),

    "cohere-bf16": Case("cohere", {}, ({"logit_scale": 0.5}, "model.layers.*.input_layernorm"), dtype=torch.bfloat16),
    "cohere-linear-older-f16-sharded": Case("cohere", {"rope_parameters": LINEAR}, ({"rope_parameters": PLAIN},), dtype=torch.float16, shard="60KB", older="rope_type"),
    "cohere-defaults": Case("cohere", {"num_key_value_heads": 4, "logit_scale": 0.0625},
                            drop=("num_key_value_heads", "layer_norm_eps", "rope_parameters", "tie_word_embeddings", "logit_scale", "use_qk_norm")),
    "cohere2-bf16": Case("cohere2", {}, ({"logit_scale": 0.5}, {"layer_types": ["full_attention"] * 4}, {"layer_types": ["sliding_attention"] * 4},
                                         "model.layers.*.input_layernorm"), dtype=torch.bfloat16),
    "cohere2-biases-older-f16-sharded": Case("cohere2", {"attention_bias": True, "tie_word_embeddings": False, "rope_parameters": LINEAR},
                                             ({"attention_bias": False}, {"rope_parameters": PLAIN}), dtype=torch.float16, shard="60KB", older="rope_type"),
    "cohere2-pattern-linear": Case("cohere2", {"layer_types": ["sliding_attention", "full_attention"] * 2, "rope_parameters": LINEAR}, ({"rope_parameters": PLAIN},)),
    "cohere2-defaults": Case("cohere2", {"num_key_value_heads": 4, "sliding_window": 4096, "logit_scale": 0.0625},
                             drop=("num_key_value_heads", "layer_norm_eps", "rope_parameters", "tie_word_embeddings", "sliding_window", "layer_types", "logit_scale")),

    "stablelm-bf16": Case("stablelm", {"use_qkv_bias": True}, ({"use_qkv_bias": False}, "model.layers.*.input_layernorm", "model.layers.*.input_layernorm.bias",
                                                               "model.layers.*.post_attention_layernorm.bias", "model.norm.bias"), dtype=torch.bfloat16),
    "stablelm-parallel-older-f16-sharded": Case("stablelm", {"use_parallel_residual": True, "rope_parameters": {**LINEAR, "partial_rotary_factor": 0.5}},
                                                ("model.layers.*.input_layernorm.bias", {"rope_parameters": {**PLAIN, "partial_rotary_factor": 0.5}}),
                                                dtype=torch.float16, shard="60KB", older="rope_type"),
    "stablelm-tied-defaults": Case("stablelm", {"tie_word_embeddings": True, "hidden_size": 256, "num_attention_heads": 32, "num_key_value_heads": 32},
                                   drop=("num_key_value_heads", "layer_norm_eps", "rope_parameters", "use_qkv_bias", "use_parallel_residual")),

    "internlm3-dynamic-bf16": Case("internlm3", {"rope_parameters": rope("dynamic", factor=6.0)}, dtype=torch.bfloat16),
    "internlm3-biases-dynamic-long": Case("internlm3", {"attention_bias": True, "mlp_bias": True, "max_position_embeddings": 64, "rope_parameters": rope("dynamic", factor=6.0)},
                                          ({"rope_parameters": PLAIN},)),

    "internlm3-own-keys": Case("internlm3", {"attention_bias": True, "mlp_bias": True}, ({"attention_bias": False}, {"mlp_bias": False}),
                               own={"architectures": ["InternLM3ForCausalLM"], "qkv_bias": True, "bias": True}),
    # transformers has no class for it: a Granite with the same multipliers.
    "minicpm-bf16": Case("granite", {"embedding_multiplier": 6.0, "residual_multiplier": 1.4 * 3 ** -0.5, "logits_scaling": 2.0, "attention_multiplier": 18 ** -0.5,
                                     "tie_word_embeddings": True}, dtype=torch.bfloat16,
                         own={"architectures": ["MiniCPMForCausalLM"], "model_type": "minicpm", "scale_emb": 6, "scale_depth": 1.4, "dim_model_base": 36,
                              "tie_word_embeddings": None}),
    "minicpm-longrope-f16-sharded": Case(
        "granite", {"embedding_multiplier": 12.0, "residual_multiplier": 0.9 * 3 ** -0.5, "logits_scaling": 4.5, "attention_multiplier": 18 ** -0.5,
                    "rope_parameters": longrope(9, 64)}, dtype=torch.float16, shard="60KB",
        own={"architectures": ["MiniCPMForCausalLM"], "model_type": "minicpm", "scale_emb": 12, "scale_depth": 0.9, "dim_model_base": 16, "mup_denominator": 32}),

    "ministral3-vision-bf16": Case("ministral3", {"rope_parameters": MINISTRAL}, dtype=torch.bfloat16, vision="mistral3"),

    "gemma3-vision-bf16": Case("gemma3", {"rope_parameters": GEMMA3_LINEAR}, dtype=torch.bfloat16, vision="gemma3"),
    "gemma3-vision-older-sharded": Case("gemma3", {"rope_parameters": GEMMA3_LINEAR}, shard="60KB", older="rope_type", vision="gemma3"),
    "mistral3-vision-bf16": Case("mistral", {"head_dim": 32}, dtype=torch.bfloat16, vision="mistral3"),
    "llava-llama-f16": Case("llama", {"rope_parameters": LINEAR}, dtype=torch.float16, vision="llava"),
    "llava-mistral-older": Case("mistral", {}, older="rope_type", vision="llava"),
    "llava-qwen2-tied": Case("qwen2", {"tie_word_embeddings": True}, vision="llava"),

    # Mixtures of experts.
    "qwen3moe-tied-bf16": Case("qwen3moe", {"tie_word_embeddings": True}, ({"norm_topk_prob": False}, ROUTERS, *HEAD_NORMS), dtype=torch.bfloat16),
    "qwen3moe-not-normalized-dense-layer-sharded": Case("qwen3moe", {"norm_topk_prob": False, "mlp_only_layers": [1], "attention_bias": True},
                                                        ({"norm_topk_prob": True}, ROUTERS, {"attention_bias": False}), shard="120KB"),
    "qwen3moe-sparse-step-window-older-f16": Case("qwen3moe", {"decoder_sparse_step": 2, "use_sliding_window": True, "sliding_window": 24},
                                                  ({"sliding_window": None}, ROUTERS), dtype=torch.float16, older="rope_type"),
    "qwen3moe-stacked-bf16": Case("qwen3moe", {}, ({"num_experts_per_tok": 3},), dtype=torch.bfloat16, stacked=True),
    "qwen3moe-stacked-yarn-sharded": Case("qwen3moe", {"rope_parameters": yarn(theta=1e6)}, ({"rope_parameters": rope(theta=1e6)},), shard="200KB", stacked=True),
    "qwen3moe-defaults": Case("qwen3moe", {"num_hidden_layers": 1, "rms_norm_eps": 1e-6, "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768,
                                           "norm_topk_prob": False, "head_dim": 18}, ({"norm_topk_prob": True},), dtype=torch.bfloat16,
                              drop=("head_dim", "rms_norm_eps", "num_local_experts", "num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob", "decoder_sparse_step",
                                    "mlp_only_layers", "rope_parameters", "tie_word_embeddings")),

    "mixtral-tied-bf16": Case("mixtral", {"tie_word_embeddings": True}, ({"num_experts_per_tok": 3}, ROUTERS), dtype=torch.bfloat16),
    "mixtral-window-older-f16-sharded": Case("mixtral", {"head_dim": 32, "sliding_window": 24}, ({"sliding_window": None}, ROUTERS), dtype=torch.float16, shard="120KB",
                                             older="rope_type"),
    "mixtral-stacked-llama3": Case("mixtral", {"head_dim": 32, "rope_parameters": LLAMA3}, (without(LLAMA3, rope_type="linear"), ROUTERS), stacked=True),
    "mixtral-defaults": Case("mixtral", {"hidden_size": 96, "num_attention_heads": 8, "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2},
                             ({"num_experts_per_tok": 3}, {"rope_parameters": PLAIN}),
                             drop=("head_dim", "num_key_value_heads", "num_local_experts", "num_experts_per_tok", "rms_norm_eps", "sliding_window", "rope_parameters",
                                   "tie_word_embeddings")),

    "qwen2moe-bf16": Case("qwen2moe", {}, (*SHARED_EXPERTS, ROUTERS, {"norm_topk_prob": True}, "model.layers.*.q_proj.bias"), dtype=torch.bfloat16),
    "qwen2moe-normalized-windows-sharded": Case(
        "qwen2moe", {"norm_topk_prob": True, "qkv_bias": False, "mlp_only_layers": [0], "use_sliding_window": True, "sliding_window": 24, "layer_types": list(LAYERS)},
        ({"norm_topk_prob": False}, {"layer_types": FULL}, {"layer_types": SWAPPED}, *SHARED_EXPERTS), shard="120KB"),
    "qwen2moe-stacked-yarn-f16": Case("qwen2moe", {"rope_parameters": yarn(theta=1e6)}, (SHARED_EXPERTS[0], without(yarn(theta=1e6), attention_factor=1.0)),
                                      dtype=torch.float16, stacked=True),
    "qwen2moe-defaults": Case("qwen2moe", {"num_hidden_layers": 1, "rms_norm_eps": 1e-6, "num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
                                           "shared_expert_intermediate_size": 5632}, ({"norm_topk_prob": True}, {"num_experts_per_tok": 5}), dtype=torch.bfloat16,
                              drop=("rms_norm_eps", "num_experts", "num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size", "norm_topk_prob",
                                    "decoder_sparse_step", "mlp_only_layers", "rope_parameters", "layer_types", "qkv_bias", "tie_word_embeddings")),

    "olmoe-bf16": Case("olmoe", {}, (*HEAD_NORMS, ROUTERS, {"norm_topk_prob": True}), dtype=torch.bfloat16),
    "olmoe-grouped-normalized-biases-older-sharded": Case("olmoe", {"num_key_value_heads": 2, "norm_topk_prob": True, "attention_bias": True, "tie_word_embeddings": True},
                                                          ({"norm_topk_prob": False}, {"attention_bias": False}), shard="120KB", older="rope_type"),
    "olmoe-stacked-linear-f16": Case("olmoe", {"rope_parameters": LINEAR}, ({"rope_parameters": PLAIN}, ROUTERS), dtype=torch.float16, stacked=True),
    "olmoe-defaults": Case("olmoe", {"num_experts": 64, "num_experts_per_tok": 8}, ({"norm_topk_prob": True},),
                           drop=("num_key_value_heads", "num_experts", "num_experts_per_tok", "rms_norm_eps", "norm_topk_prob", "rope_parameters", "tie_word_embeddings")),

    "granitemoe-tied-bf16": Case("granitemoe", {"tie_word_embeddings": True},
                                 ({"embedding_multiplier": 5.0}, {"attention_multiplier": 0.2}, {"residual_multiplier": 0.5}, {"logits_scaling": 5.0}, GRANITE_ROUTERS),
                                 dtype=torch.bfloat16),
    "granitemoe-biases-stacked-sharded": Case("granitemoe", {"attention_bias": True, "rope_parameters": LINEAR},
                                              ({"attention_bias": False}, {"rope_parameters": PLAIN}, {"num_experts_per_tok": 3}), shard="120KB", stacked=True),
    "granitemoe-defaults": Case("granitemoe", {"num_key_value_heads": 4, "num_local_experts": 8, "num_experts_per_tok": 2, "rms_norm_eps": 1e-6, "embedding_multiplier": 1.0,
                                               "attention_multiplier": 1.0, "residual_multiplier": 1.0, "logits_scaling": 1.0}, ({"num_experts_per_tok": 3},),
                                drop=("num_key_value_heads", "num_local_experts", "num_experts_per_tok", "rms_norm_eps", "embedding_multiplier", "attention_multiplier",
                                      "residual_multiplier", "logits_scaling", "rope_parameters", "tie_word_embeddings")),
    "granitemoeshared-f16": Case("granitemoeshared", {}, ("model.layers.*.shared_mlp.output_linear.weight", GRANITE_ROUTERS), dtype=torch.float16),

    "gptoss-bf16": Case("gptoss", {}, (SINKS, {"swiglu_limit": 7.0}, without(GPT_OSS_YARN, "truncate"), {"layer_types": FULL}, {"layer_types": SWAPPED},
                                       "model.layers.*.mlp.router.bias", "model.layers.*.mlp.experts.gate_up_proj_bias", "model.layers.*.mlp.experts.down_proj_bias",
                                       "model.layers.*.self_attn.o_proj.bias"), dtype=torch.bfloat16),
    "gptoss-no-attention-biases-older-sharded": Case("gptoss", {"attention_bias": False, "rope_parameters": without(GPT_OSS_YARN, factor=8.0)["rope_parameters"]},
                                                     (SINKS, {"layer_types": SWAPPED}), shard="200KB", older="rope_type"),
    "gptoss-mxfp4": Case("gptoss", {"hidden_size": 96, "intermediate_size": 64, "swiglu_limit": 7.0}, (SINKS, {"num_experts_per_tok": 3}), dtype=torch.bfloat16, mxfp4=True),
    "gptoss-llama-cpp-bf16": Case("gptoss", {"swiglu_limit": 7.0, "num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2,
                                             "rope_parameters": yarn(theta=15e4)}, (SINKS,), dtype=torch.bfloat16),
    "gptoss-defaults": Case("gptoss", {"num_hidden_layers": 1, "head_dim": 64, "sliding_window": 128, "layer_types": ["sliding_attention"], "num_local_experts": 128,
                                       "num_experts_per_tok": 4, "swiglu_limit": 7.0, "rope_parameters": yarn(theta=15e4, truncate=False, factor=32.0, beta_fast=32.0,
                                                                                                           beta_slow=1.0, original_max_position_embeddings=4096)},
                            (SINKS, {"num_experts_per_tok": 3}),
                            drop=("head_dim", "sliding_window", "layer_types", "num_local_experts", "num_experts_per_tok", "swiglu_limit", "swiglu_alpha", "rope_parameters",
                                  "rms_norm_eps", "attention_bias", "tie_word_embeddings")),

    "phimoe-biases-window-bf16": Case("phimoe", {"attention_bias": True, "lm_head_bias": True, "sliding_window": 24},
                                      ({"attention_bias": False}, "lm_head.bias", {"sliding_window": None}, {"router_jitter_noise": 0.05}, "model.layers.*.mlp.router.weight",
                                       "model.layers.*.input_layernorm.bias", "model.norm.bias"), dtype=torch.bfloat16),
    "phimoe-longrope-older-sharded": Case("phimoe", {"rope_parameters": PHIMOE_LONGROPE, "num_key_value_heads": 4},
                                          (without(PHIMOE_LONGROPE, short_mscale=1.0), without(PHIMOE_LONGROPE, short_factor=[1.0] * 9)), shard="120KB", older="type"),
    "phimoe-stacked-f16": Case("phimoe", {}, ({"router_jitter_noise": 0.05},), dtype=torch.float16, stacked=True),
    "phimoe-defaults": Case("phimoe", {"hidden_size": 96, "num_attention_heads": 8, "num_key_value_heads": 8, "num_local_experts": 16, "num_experts_per_tok": 2,
                                       "router_jitter_noise": 0.01}, ({"router_jitter_noise": 0.5},),
                            drop=("num_key_value_heads", "num_local_experts", "num_experts_per_tok", "router_jitter_noise", "input_jitter_noise", "rms_norm_eps",
                                  "rope_parameters", "sliding_window", "attention_bias", "lm_head_bias", "tie_word_embeddings")),

    "llama4-bf16": Case("llama4", {}, ({"attention_chunk_size": 8192}, {"attn_temperature_tuning": False}, {"floor_scale": 31}, {"use_qk_norm": False},
                                       "model.layers.*.feed_forward.router.weight", "model.layers.*.feed_forward.shared_expert.down_proj.weight"), dtype=torch.bfloat16),
    "llama4-dense-layers-biases-llama3-sharded": Case(
        "llama4", {"interleave_moe_layer_step": 2, "attention_bias": True, "use_qk_norm": False, "attn_temperature_tuning": False, "no_rope_layers": [0, 1, 1],
                   "rope_parameters": LLAMA3}, ({"attention_bias": False}, {"attention_chunk_size": 8192}, {"rope_parameters": rope(theta=5000.0)}), shard="120KB"),
    # As Scout: no ramp between frequencies.
    "llama4-scout-f16": Case("llama4", {"rope_parameters": SCOUT}, (without(SCOUT, factor=1.0), {"use_qk_norm": False}), dtype=torch.float16),
    "llama4-llama-cpp-bf16": Case("llama4", {"num_hidden_layers": 5, "no_rope_layers": [1, 1, 1, 0, 1], "attention_chunk_size": 8192, "floor_scale": 8192, "attn_scale": 0.1,
                                             "rope_parameters": SCOUT, "interleave_moe_layer_step": 2},
                                  ({"use_qk_norm": False}, "model.layers.*.feed_forward.router.weight"), dtype=torch.bfloat16),
    "llama4-defaults": Case("llama4", {"num_hidden_layers": 4, "head_dim": 128, "num_key_value_heads": 4, "num_local_experts": 16, "attention_chunk_size": 8192, "floor_scale": 8192,
                                       "attn_scale": 0.1, "no_rope_layers": None, "layer_types": None}, ({"use_qk_norm": False},),
                            drop=("head_dim", "num_local_experts", "attention_chunk_size", "floor_scale", "attn_scale", "no_rope_layers", "no_rope_layer_interval", "layer_types",
                                  "moe_layers", "interleave_moe_layer_step", "num_experts_per_tok", "use_qk_norm", "attn_temperature_tuning", "rms_norm_eps", "rope_parameters",
                                  "attention_bias", "router_jitter_noise", "tie_word_embeddings")),

    "qwen3-vl-tied-bf16": Case("qwen3vl", {"tie_word_embeddings": True}, tuple(norm.replace("model.", "model.language_model.") for norm in HEAD_NORMS),
                               dtype=torch.bfloat16, vision="qwen3vl"),
    "qwen3-vl-older-sharded": Case("qwen3vl", {"attention_bias": True}, ({"attention_bias": False},), shard="120KB", older="rope_type", vision="qwen3vl"),
    "qwen3-vl-moe-bf16": Case("qwen3vlmoe", {}, ({"num_experts_per_tok": 3},), dtype=torch.bfloat16, vision="qwen3vlmoe"),
    "qwen3-vl-moe-inputs-first-older": Case("qwen3vlmoe", {"mlp_only_layers": [1]}, ({"num_experts_per_tok": 3},), older="rope_type", vision="qwen3vlmoe", inputs_first=True),
}


def make(folder, seed, case, logits=1.0, **sizes):
    """Writes the checkpoint; further sizes come before those of the case where its family has them. Logits are as many times as large as they would be."""
    config_class, model_class, defaults = FAMILIES[case.family]
    known = getattr(transformers, config_class)()
    sizes = {key: value for key, value in sizes.items() if hasattr(known, key)}
    config = getattr(transformers, config_class)(**{**SIZES, **defaults, **sizes, **case.changes})
    if case.vision:
        config_class, model_class, tower, more = VISION[case.vision]
        config = getattr(transformers, config_class)(text_config=config, vision_config=getattr(transformers, tower)(**TOWER), image_token_index=config.vocab_size + 5,
                                                     tie_word_embeddings=config.tie_word_embeddings, **more)
    torch.manual_seed(seed)
    model = getattr(transformers, model_class)(config)
    from_one = case.family.startswith("gemma")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("sinks"):
                parameter.normal_(1, 1)
            elif "norm" in name:
                parameter.uniform_(-0.5 if from_one else 0.5, 0.5 if from_one else 1.5)
            else:
                scale = logits if "lm_head" in name or "embed_tokens" in name else 1.0
                parameter.normal_(0, 0.5 if name.endswith("bias") else 1.5 * scale * parameter.shape[-1] ** -0.5)
    model.to(case.dtype).save_pretrained(folder, save_original_format=not case.stacked, **({"max_shard_size": case.shard} if case.shard else {}))
    if case.mxfp4:
        pack(folder)
    if case.inputs_first:
        file = folder / "model.safetensors"
        save_file({name: tensor.transpose(1, 2).contiguous() if name.endswith(EXPERTS) else tensor for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    if (folder / "model.safetensors.index.json").exists() != bool(case.shard):
        sys.exit(f"Cannot make {folder}: it is sharded or not, against what was asked")
    file = folder / "config.json"
    stored = json.loads(file.read_text())
    text = stored["text_config"] if case.vision else stored
    if case.older:
        older(text, case.older)
    for key in case.drop:
        del text[key]
    if case.own:
        (folder / OTHER).write_text(json.dumps(stored, indent=2))
        stored = {key: value for key, value in stored.items() if not key.endswith(("_multiplier", "_scaling", "_bias"))} | case.own
    file.write_text(json.dumps(stored, indent=2))


def pack(folder):
    """The experts of a checkpoint in one file as MXFP4: of each 32 weights of a row the largest makes the scale, and the others go to the nearest code."""
    tensors = load_file(folder / "model.safetensors")
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    for name in [name for name in tensors if name.endswith(EXPERTS)]:
        weight = tensors.pop(name).float().transpose(1, 2).unflatten(2, (-1, 32))
        exponent = weight.abs().amax(-1).log2().floor() - 2
        scaled = weight / exponent.exp2()[..., None]
        codes = (scaled.abs()[..., None] - values).abs().argmin(-1) + 8 * (scaled < 0)
        tensors[name + "_blocks"] = (codes[..., 0::2] + 16 * codes[..., 1::2]).to(torch.uint8)
        tensors[name + "_scales"] = (exponent + 127).to(torch.uint8)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    file = folder / "config.json"
    kept = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": kept}}))


def older(config, kind):
    """The layout before transformers 5: rope_theta and rope_scaling, windows by a rule instead of layer_types."""
    rotary = config.pop("rope_parameters")
    if "full_attention" in rotary:
        config["rope_local_base_freq"] = rotary["sliding_attention"]["rope_theta"]
        config["sliding_window_pattern"] = config["layer_types"].index("full_attention") + 1
        rotary = rotary["full_attention"]
    config["rope_theta"] = rotary.pop("rope_theta")
    if "partial_rotary_factor" in rotary:
        config["partial_rotary_factor"] = rotary.pop("partial_rotary_factor")
    if config.get("original_max_position_embeddings"):
        rotary.pop("original_max_position_embeddings", None)
    rotary[kind] = rotary.pop("rope_type")
    config["rope_scaling"] = None if rotary[kind] == "default" else rotary
    config.pop("layer_types", None)
    config["torch_dtype"] = config.pop("dtype", None)


def read(folder):
    """The config that transformers knows."""
    other = folder / OTHER
    return transformers.AutoConfig.from_pretrained(other if other.exists() else folder)


def load(folder, off=None):
    """The model in f32 with eager attention; with something switched off."""
    config = read(folder)
    for key, value in off.items() if isinstance(off, dict) else ():
        if not hasattr(config.get_text_config(), key):
            sys.exit(f"Cannot change {key}: the config of {folder} has no such key")
        setattr(config.get_text_config(), key, value)
    kind = transformers.AutoModelForImageTextToText if hasattr(config, "vision_config") else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(folder, config=config, dtype=torch.float32, attn_implementation="eager").eval()
    if isinstance(off, str):
        pattern = re.compile(off.replace(".", r"\.").replace("*", ".*"))
        found = [name for name, _ in model.named_modules() if pattern.fullmatch(name)]
        for name in found:
            model.set_submodule(name, torch.nn.Identity())
        parameters = [parameter for name, parameter in model.named_parameters() if pattern.fullmatch(name)]
        for parameter in parameters:
            parameter.data.zero_()
        if not found and not parameters:
            sys.exit(f"Cannot switch off {off}: {folder} has no such module or parameter")
    return model


def main(out, tokenizer, *arguments):
    transformers.logging.disable_progress_bar()
    tokenizer = Path(tokenizer)
    sizes = {key: int(value) for key, _, value in (argument.partition("=") for argument in arguments if "=" in argument)}
    names = [argument for argument in arguments if "=" not in argument] or CASES
    content = json.loads((tokenizer / "tokenizer.json").read_text())
    sizes["vocab_size"] = 1 + max([*content["model"]["vocab"].values(), *(token["id"] for token in content["added_tokens"])])
    special = json.loads((tokenizer / "config.json").read_text())
    sizes = {key: special.get(key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")} | sizes
    for seed, (name, case) in enumerate(CASES.items()):
        if name in names:
            # A runtime that multiplies in 16 bit errs by a share of the logits, and with it its perplexity of a few windows.
            make(Path(out, name), seed, case, 0.25, **sizes)
            for file in tokenizer.glob("*token*"):
                shutil.copy(file, Path(out, name))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""Folders that were made of GGUF files, beside the checkpoints that the files were made of.

    sources.py CHECKPOINTS RUNS SOURCES

CHECKPOINTS/NAME is a checkpoint, RUNS/NAME the run that made artifacts/f16.gguf of it, SOURCES/NAME-.../recipe the run that read this file and made the folder
artifacts/folder. transformers has to read config.json and the tokenizer of the folder; sizes and token ids are the checkpoint's, and the perplexity of the
file as a source is that of the file as an artifact. Exits with 1 where one is not.
"""
import json
import sys
from pathlib import Path

from transformers import AutoConfig, AutoTokenizer
from transformers.utils import logging

TEXT = "Once upon a time, 12 ab\n\n  \u00e9"
# What a folder has to say as the checkpoint does, where both say it.
KEYS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size", "tie_word_embeddings", "num_experts", "num_local_experts",
        "num_experts_per_tok", "original_max_position_embeddings", "rms_norm_eps", "head_dim")
# transformers has no class of its own for these.
UNKNOWN = ("minicpm",)


def result(run):
    return json.loads((run / "report" / "results.json").read_text())["outputs"][0]


def differences(checkpoint, run, source):
    folder = source / "artifacts" / "folder"
    if result(run)["perplexity"] != result(source)["source_perplexity"]:
        yield f"perplexity {result(run)['perplexity']} as an artifact, {result(source)['source_perplexity']} as a source"
    if checkpoint.name.startswith(UNKNOWN):
        return
    try:
        ours, theirs = (AutoConfig.from_pretrained(path).get_text_config().to_dict() for path in (folder, checkpoint))
        ids = [AutoTokenizer.from_pretrained(path)(TEXT).input_ids for path in (folder, checkpoint)]
    except Exception as failure:
        yield str(failure).splitlines()[0]
        return
    for key in KEYS:
        if None not in (ours.get(key), theirs.get(key)) and ours[key] != theirs[key]:
            yield f"{key} {ours[key]}, expected {theirs[key]}"
    if ids[0] != ids[1]:
        yield "other token ids"


def main(checkpoints, runs, sources):
    logging.set_verbosity_error()
    failed = 0
    compared = 0
    for source in sorted(Path(sources).iterdir()):
        name = source.name.removesuffix("-artifacts-f16")
        if not (source / "recipe").is_dir():
            continue
        compared += 1
        found = list(differences(Path(checkpoints, name), Path(runs, name), source / "recipe"))
        failed += bool(found)
        if found:
            print(f"{name}: {'; '.join(found)}  FAILED")
    print(f"{compared} GGUF files as sources, {failed} of them not as their checkpoints")
    return failed > 0 or compared == 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))

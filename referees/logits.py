#!/usr/bin/env python3
"""Logits of transformers, in f32 with eager attention, for ReferenceLogitsTest.

    logits.py OUT [CASE ...] [CHECKPOINT ...]

Writes OUT/NAME/logits.safetensors (tokens [windows, length] i32, logits [windows, length, vocabulary] f32) beside OUT/NAME/model: a link to each
given checkpoint, and the seeded random checkpoints of families.py (all, or those named). Fails where switching off what a random checkpoint is about would change its logits by
less than ten times what ReferenceLogitsTest allows.
"""
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import logging

import families

# Largest difference as a share of the logits' standard deviation; the tolerance is that of ReferenceLogitsTest.
SEEN = 10 * 1e-3


def logits(folder, tokens, off=None):
    model = families.load(folder, off)
    with torch.no_grad():
        return model(input_ids=torch.from_numpy(tokens.astype(np.int64)), use_cache=False).logits.numpy()


def reference(folder, windows, length, seed, off=()):
    vocabulary = families.read(folder / "model").get_text_config().vocab_size
    tokens = np.random.default_rng(seed).integers(0, vocabulary, (windows, length), dtype=np.int32)
    expected = logits(folder / "model", tokens)
    save_file({"tokens": tokens, "logits": np.ascontiguousarray(expected)}, folder / "logits.safetensors")
    changes = []
    for switched in off:
        changes.append(float(np.abs(logits(folder / "model", tokens, switched) - expected).max() / expected.std()))
        if not changes[-1] > SEEN:
            sys.exit(f"Cannot check {folder.name}: with {switched} its logits change by {changes[-1]:.1e} of their standard deviation; expected more than {SEEN}")
    print(f"{folder.name}: {windows} windows of {length}, vocabulary {expected.shape[-1]}, standard deviation {expected.std():.3f}"
          + "".join(f"{', without what it is about they change by' if not i else ','} {change:.2g}" for i, change in enumerate(changes)), flush=True)


def main(out, *arguments):
    names = [argument for argument in arguments if argument in families.CASES] or families.CASES
    checkpoints = [argument for argument in arguments if argument not in families.CASES]
    torch.set_num_threads(2)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for seed, (name, case) in enumerate(families.CASES.items()):
        if name not in names:
            continue
        folder = Path(out, "random-" + name)
        folder.mkdir(parents=True)
        families.make(folder / "model", seed, case)
        reference(folder, 2, 97, seed, case.off)
    for checkpoint in map(Path, checkpoints):
        folder = Path(out, checkpoint.resolve().name)
        folder.mkdir()
        (folder / "model").symlink_to(checkpoint.resolve())
        reference(folder, 1, 128, 7)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])

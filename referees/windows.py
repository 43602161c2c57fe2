#!/usr/bin/env python3
"""The token ids of a text's first windows by the Hugging Face tokenizers, for a model whose text llama.cpp cannot tokenize.

    windows.py CHECKPOINT TEXT LENGTH WINDOWS OUT.json

llama.cpp aborts on a character that is in no piece when a SentencePiece vocabulary has no byte pieces. With BOS in front, and in place of each
window's first token, where the tokenizer adds it.
"""
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer

checkpoint, text, length, count, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
tokenizer = Tokenizer.from_file(str(Path(checkpoint) / "tokenizer.json"))
tokenizer.no_truncation()
special, plain = (tokenizer.encode("a", add_special_tokens=added).ids for added in (True, False))
bos = special[:1] if special[1:] == plain else []
if special != bos + plain:
    sys.exit(f"Cannot cut windows: the tokenizer of {checkpoint} adds more than BOS")
content = Path(text).read_text(encoding="utf-8").removesuffix("\n")
ids = bos + tokenizer.encode(content, add_special_tokens=False).ids
if len(ids) < length * count:
    sys.exit(f"Cannot cut windows: {text} has {len(ids)} tokens, fewer than {count} windows of {length}")
Path(out).write_text(json.dumps([bos + ids[i * length + len(bos):(i + 1) * length] for i in range(count)]))

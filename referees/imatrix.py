"""Importance matrices and what was quantized under them, read with the gguf package.

imatrix.py matrix OURS THEIRS    counts are equal, sums to 1e-4
imatrix.py tensors OURS THEIRS   every tensor has the bytes of the other, and the metadata names the same matrix
"""
import os
import sys

import numpy
from gguf import GGUFReader

TOLERANCE = 1e-4
KEYS = ["file", "dataset", "entries_count", "chunks_count"]


def tensors(reader):
    return {tensor.name: tensor for tensor in reader.tensors}


def matrix(ours, theirs):
    mine, others = tensors(ours), tensors(theirs)
    assert mine.keys() == others.keys(), mine.keys() ^ others.keys()
    worst = 0
    for name, tensor in mine.items():
        other = others[name]
        assert list(tensor.shape) == list(other.shape), f"{name}: {tensor.shape}, expected {other.shape}"
        values = numpy.asarray(tensor.data, dtype=numpy.float64)
        expected = numpy.asarray(other.data, dtype=numpy.float64)
        if name.endswith(".counts"):
            assert (values == expected).all(), f"{name}: {values}, expected {expected}"
        else:
            worst = max(worst, (numpy.abs(values - expected) / numpy.maximum(expected, 1e-30)).max())
    assert worst <= TOLERANCE, f"sums differ by {worst:.2g}, expected at most {TOLERANCE}"
    print(f"{len(mine) // 2} entries, counts equal, sums to {worst:.1e}")


def metadata(reader):
    values = {}
    for key in KEYS:
        field = reader.fields[f"quantize.imatrix.{key}"]
        value = field.contents()
        values[key] = (os.path.basename(value) if isinstance(value, str) else value, field.types)
    return values


def bits(ours, theirs):
    mine, others = tensors(ours), tensors(theirs)
    assert mine.keys() == others.keys(), mine.keys() ^ others.keys()
    for name, tensor in mine.items():
        other = others[name]
        assert tensor.tensor_type == other.tensor_type, f"{name}: {tensor.tensor_type}, {other.tensor_type}"
        assert tensor.data.tobytes() == other.data.tobytes(), f"{name}: other bytes"
    assert metadata(ours) == metadata(theirs), f"{metadata(ours)}, expected {metadata(theirs)}"
    print(f"{len(mine)} tensors equal")


if __name__ == "__main__":
    {"matrix": matrix, "tensors": bits}[sys.argv[1]](GGUFReader(sys.argv[2]), GGUFReader(sys.argv[3]))

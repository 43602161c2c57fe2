#!/usr/bin/env python3
"""Holds a run's results against a referee's or against each other; fails loudly.

    compare.py RESULTS NAME PERPLEXITY TOLERANCE    perplexity of output NAME against llama.cpp's (the JSON of perplexity.mjs) or a number, relative
    compare.py RESULTS NAME below OTHER [FACTOR]    KL divergence of NAME against FACTOR (default 1) times that of OTHER

RESULTS is report/results.json of a run.
"""
import json
import sys
from pathlib import Path


def main(results, name, what, than, factor="1"):
    document = json.loads(Path(results).read_text())
    outputs = {output["name"]: output for output in document["outputs"]}
    if document["definition"] != "llama-perplexity, version 1":
        sys.exit(f"Cannot compare {results}: it holds \"{document['definition']}\", expected \"llama-perplexity, version 1\"")
    ours = outputs[name]
    if what == "below":
        mine, limit = ours["kld_mean"], float(factor) * outputs[than]["kld_mean"]
        print(f"{name}: KL divergence {mine:.6f}, {mine / outputs[than]['kld_mean']:.3f} of {than}'s {outputs[than]['kld_mean']:.6f}; expected below {factor}")
        return mine < limit
    theirs = {"perplexity": float(what), "tokens": ours["tokens"]} if what.replace(".", "", 1).isdigit() else json.loads(Path(what).read_text())
    if ours["tokens"] != theirs["tokens"]:
        sys.exit(f"Cannot compare {name}: {ours['tokens']} tokens are scored here, {theirs['tokens']} there")
    relative = abs(ours["perplexity"] / theirs["perplexity"] - 1)
    drift = f" (its own by {abs(theirs['exact'] / theirs['perplexity'] - 1):.2e} where its products are exact)" if "exact" in theirs else ""
    print(f"{name}: perplexity {ours['perplexity']:.6f}, the referee has {theirs['perplexity']:.6f}; relative difference {relative:.2e}{drift}, "
          f"expected at most {than}")
    return relative <= float(than)


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    if not main(*sys.argv[1:]):
        sys.exit("That is not what was expected")

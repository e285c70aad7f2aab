"""Workload files that must be refused, each with what the complaint has to mention. Shared by two tests."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def good(**changes: Any) -> dict[str, Any]:
    """Arrays and `job` (a dict) of a small correct workload, with some keys replaced or, if None, left out."""
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {n: rng.standard_normal((2, 2, 6, 32)) for n in "qkv"}
    arrays |= changes
    return {k: v for k, v in arrays.items() if v is not None}


def with_job(**job: Any) -> dict[str, Any]:
    return good(job=job)


def _nan(name: str, value: float = float("nan")) -> dict[str, Any]:
    arrays = good()
    arrays[name][1, 0, 3, 5] = value
    return arrays


def _integers(**changes: Any) -> dict[str, Any]:
    arrays = {n: np.arange(2 * 2 * 6 * 32).reshape(2, 2, 6, 32) % 200 - 100 for n in "qkv"}
    return arrays | changes


#: name → (arrays with an optional `job` dict, words of the complaint)
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no q": (good(q=None), ["q", "missing"]),
    "no k": (good(k=None), ["k", "missing"]),
    "a unit of 0": (good(out_unit=np.array(0.0)), ["out_unit", "not positive"]),
    "a unit per layer": (good(out_unit=np.ones(2)), ["out_unit", "[2]"]),
    "unknown key": (good(scale=np.ones(2)), ["scale", "not a key"]),
    "q of three dimensions": (good(q=np.ones((2, 6, 32))), ["q", "[2, 6, 32]"]),
    "k and v differ": (good(v=np.ones((2, 2, 5, 32))), ["v", "[2, 2, 5, 32]"]),
    "layers differ": (good(q=np.ones((3, 2, 6, 32))), ["k", "layers"]),
    "dims differ": (good(q=np.ones((2, 2, 6, 16))), ["k", "dim"]),
    "heads not a multiple": (good(q=np.ones((2, 3, 6, 32))), ["q", "3 query heads", "2 K/V heads"]),
    "queries and tokens differ": (good(q=np.ones((2, 2, 5, 32))), ["stage", "5 queries", "6 tokens"]),
    "more queries than tokens": (good(q=np.ones((2, 2, 7, 32)), job={"stage": "generate"}), ["7 queries"]),
    "empty tokens": ({n: np.ones((2, 2, 0, 32)) for n in "qkv"}, ["q", "empty"]),
    "no layers": ({n: np.ones((0, 2, 6, 32)) for n in "qkv"}, ["q", "empty"]),
    "NaN in q": (_nan("q"), ["q", "NaN", "[1, 0, 3, 5]"]),
    "inf in v": (_nan("v", float("inf")), ["v", "infinite"]),
    "beyond float range": (_nan("k", 1e200), ["k", "beyond"]),
    "complex": (good(q=np.ones((2, 2, 6, 32), dtype=complex)), ["q", "complex128"]),
    "text": (good(v=np.full((2, 2, 6, 32), "x")), ["v", "type"]),
    "unsigned": ({n: np.ones((2, 2, 6, 32), dtype=np.uint8) for n in "qkv"}, ["q", "uint8"]),
    "mixed kinds": (good(k=np.ones((2, 2, 6, 32), dtype=np.int16)), ["k", "int16"]),
    "integers too wide": (_integers(q=np.full((2, 2, 6, 32), 2048)), ["q", "12 bits"]),
    "scale shape": (_integers(q_scale=np.ones(2)), ["q_scale", "[2, 2]"]),
    "scale zero": (_integers(v_scale=np.zeros((2, 2))), ["v_scale", "not positive"]),
    "scale with floats": (good(k_scale=np.ones((2, 2))), ["k_scale", "float"]),
    "token scores shape": (good(token_scores=np.ones(5)), ["token_scores", "[6]"]),
    "token scores negative": (good(token_scores=-np.ones(6)), ["token_scores", "negative"]),
    "head scores NaN": (good(head_scores=np.array([1, np.nan])), ["head_scores", "NaN"]),
    "scores beyond the hardware": (good(token_scores=np.full(6, 1e30)), ["token_scores", "bits"]),
    "token texts missing one": (good(tokens=np.array(list("abcde"))), ["tokens", "[5]", "[6]"]),
    "token texts of numbers": (good(tokens=np.arange(6)), ["tokens", "int64", "texts"]),
    "dim of no build": ({n: np.ones((1, 1, 4, 24)) for n in "qkv"}, ["q", "dim = 24"]),
    "too many tokens": ({n: np.ones((1, 1, 513, 32)) for n in "qkv"}, ["513 tokens", "max_tokens"]),
    "too many heads": ({n: np.ones((1, 17, 4, 32)) for n in "qkv"}, ["17 query heads", "max_heads"]),
    "group too large": (good(q=np.ones((2, 16, 6, 32))), ["8 query heads per", "max_group"]),
    "job not JSON": (good(job="{"), ["job", "JSON"]),
    "job not an object": (good(job="[1]"), ["job", "list"]),
    "job an array": (good(job=np.array(["{}", "{}"])), ["job", "0-d"]),
    "job unknown field": (with_job(keep=3), ["job.keep", "not a job field"]),
    "stage": (with_job(stage="decode"), ["job.stage", "decode"]),
    "stage a list": (with_job(stage=["generate"]), ["job.stage"]),
    "q_bits": (with_job(q_bits=11), ["job.q_bits", "11"]),
    "k_bits odd LSBs": (with_job(k_bits=[8, 3]), ["job.k_bits", "3 LSBs"]),
    "k_bits too wide": (with_job(k_bits=[16, 4]), ["job.k_bits", "20 bits"]),
    "k_bits beyond the build": (with_job(k_bits=[12, 4]), ["job.k_bits", "16 bits", "operand_bits"]),
    "v_bits a string": (with_job(v_bits="12"), ["job.v_bits"]),
    "v_bits three numbers": (with_job(v_bits=[4, 4, 4]), ["job.v_bits"]),
    "threshold above 1": (with_job(threshold=1.5), ["job.threshold"]),
    "threshold NaN": (with_job(threshold=float("nan")), ["job.threshold"]),
    "threshold boolean": (with_job(threshold=True), ["job.threshold"]),
    "lsb_margin of a prompt": (with_job(k_bits=[8, 4], lsb_margin=3), ["job.lsb_margin", "summarise", "generate"]),
    "lsb_margin without LSBs": (good(q=np.ones((2, 2, 3, 32)), job={"stage": "generate", "lsb_margin": 3}),
                                ["job.lsb_margin", "no LSBs"]),
    "lsb_margin negative": (with_job(k_bits=[8, 4], lsb_margin=-1), ["job.lsb_margin", "-1", "0 … 22"]),
    "lsb_margin too large": (with_job(k_bits=[8, 4], lsb_margin=23), ["job.lsb_margin", "23"]),
    "lsb_margin a string": (with_job(k_bits=[8, 4], lsb_margin="3"), ["job.lsb_margin", "'3'"]),
    "keep_mass zero": (with_job(keep_mass=0), ["job.keep_mass", "above 0"]),
    "keep_mass above 1": (with_job(keep_mass=90), ["job.keep_mass", "90"]),
    "keep_mass a large whole number": (with_job(keep_mass=10 ** 400), ["job.keep_mass", "..."]),
    "keep_mass NaN": (with_job(keep_mass=float("nan")), ["job.keep_mass", "nan"]),
    "give_back a number": (with_job(give_back=1), ["job.give_back", "true or false"]),
    "keep_tokens length": (with_job(keep_tokens=[4]), ["job.keep_tokens", "per layer (2)"]),
    "keep_tokens zero": (with_job(keep_tokens=[4, 0]), ["job.keep_tokens", "layer 1"]),
    "keep_tokens too many": (with_job(keep_tokens=[7, None]), ["job.keep_tokens", "7", "1 … 6"]),
    "keep_tokens float": (with_job(keep_tokens=[4.0, 3]), ["job.keep_tokens", "4.0"]),
    "keep_tokens per step": (with_job(keep_tokens=[[4, 3]]), ["job.keep_tokens", "step"]),
    "keep_tokens steps": (good(q=np.ones((2, 2, 3, 32)), job={"stage": "generate", "keep_tokens": [[4, 3]]}),
                          ["job.keep_tokens", "3 steps"]),
    "keep_heads too many": (with_job(keep_heads=[3, 1]), ["job.keep_heads", "1 … 2"]),
    "keep_values negative": (with_job(keep_values=[-1, 2]), ["job.keep_values", "-1"]),
    "protect_first": (with_job(protect_first=-1), ["job.protect_first"]),
    "protect_last": (with_job(protect_last=7), ["job.protect_last", "0 … 6"]),
    "more protected than kept": (with_job(protect_first=2, protect_last=2, keep_tokens=[5, 3]),
                                 ["job.keep_tokens", "layer 1", "protect 4"]),
    "mask": (with_job(mask="diagonal"), ["job.mask", "diagonal"]),
    "mask too long": (with_job(mask=7), ["job.mask", "7"]),
    "mask zero": (with_job(mask=0), ["job.mask"]),
}


def save(path, arrays: dict[str, Any]) -> None:
    """Writes an .npz; a `job` that is a dict becomes JSON text."""
    arrays = dict(arrays)
    if isinstance(arrays.get("job"), dict):
        arrays["job"] = json.dumps(arrays["job"])
    np.savez(path, **arrays)

"""The 30 benchmarks of the paper as layers; numbers and sources in `benchmarks.toml`."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from .layers import Layers, joined


@dataclass(frozen=True)
class Benchmark:
    """`layers`: every run of a layer in order (of prompts: a layer each; of generation: step by step). `model`: sizes
    from the table `models`, {} where a workload has none."""

    name: str
    layers: Layers
    source: str
    model: Mapping[str, Any]

    @property
    def generates(self) -> bool:
        """Whether it is memory-bound generation."""
        return bool(self.layers.generate[0])


@functools.cache
def data() -> dict[str, Any]:
    """The file."""
    return tomllib.loads(resources.files(__package__).joinpath("benchmarks.toml").read_text("utf-8"))


def benchmarks() -> list[Benchmark]:
    """All 30, BERT before GPT-2."""
    d = data()
    return [*(bert(model, task) for model in ("bert-base", "bert-large") for task in d["tokens"] if task != "source"),
            *(gpt2(model, text) for model in ("gpt2-small", "gpt2-medium") for text in d["generation"]["sets"])]


def token_schedule(layers: int, reduction: float, unpruned: float) -> np.ndarray:
    """Share of the tokens alive in each layer: all in the first `unpruned` of the layers, then falling linearly, so
    that the mean over all layers is 1 / `reduction`. (The paper gives the two ends' mean; the fall is taken to start at
    0.)
    """
    first = round(unpruned * layers)
    mean = 1 - (layers / reduction - first) / (layers - first)
    return 1 - np.concatenate([np.zeros(first), np.linspace(0, 2 * mean, layers - first)])


def head_schedule(layers: int, heads: int, reduction: float, unpruned: float) -> np.ndarray:
    """Heads alive in each layer: all in the first layers, then one number for all, rounded, nearest to the mean."""
    first = round(unpruned * layers)
    kept = round(heads * (layers / reduction - first) / (layers - first))
    return np.concatenate([np.full(first, heads), np.full(layers - first, kept)])


def bert(model: str, task: str, tokens: float | None = None, bits: int | None = None) -> Benchmark:
    """A prompt; `tokens`, `bits`: instead of those of the file."""
    d = data()
    m, b = d["models"][model], d["bert"]
    n = d["tokens"][task] if tokens is None else tokens
    alive = np.maximum(1, np.round(n * token_schedule(m["layers"], b["token_reduction"], b["unpruned_token_layers"])))
    heads = head_schedule(m["layers"], m["heads"], b["head_reduction"], b["unpruned_head_layers"])
    width = b["bits"] if bits is None else bits
    layers = Layers.of(context=n, model_heads=m["heads"], dim=m["dim"], tokens=alive, heads=heads, q_bits=width,
                       k_bits=width, v_bits=width)
    return Benchmark(f"{model} {task}", layers, f"{d['tokens']['source']}; {b['source']}", m)


def gpt2(model: str, text: str) -> Benchmark:
    """32 steps of generation after a prompt of 992."""
    d = data()
    return Benchmark(f"{model} {text}", joined(list(_steps(d["models"][model], d[model], d["generation"]))),
                     d[model]["source"], d["models"][model])


def _steps(model: Mapping[str, Any], pruned: Mapping[str, Any], generation: Mapping[str, Any]) -> Iterator[Layers]:
    for step in range(generation["steps"]):
        n = generation["prompt"] + step + 1
        keys = np.array(pruned["keys"])
        # The authors' first step finds no importance to prune by.
        alive = np.full(model["layers"], n) if step == 0 else np.where(keys > 0, keys, n)
        yield Layers.of(
            generate=1, context=n, model_heads=model["heads"], dim=model["dim"], tokens=alive, heads=pruned["heads"],
            keep=pruned["first_values"] if step == 0 else pruned["values"],
            flat=pruned["first_flat"] if step == 0 else pruned["flat"], q_bits=pruned["q_bits"],
            k_bits=pruned["k_bits"][0], k_lsb_bits=pruned["k_bits"][1], v_bits=pruned["v_bits"][0],
            v_lsb_bits=pruned["v_bits"][1])

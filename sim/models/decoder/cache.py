"""The KV cache of one sequence on the host, and how its new rows get into the accelerator's memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spatten_hw.host.folds import Folds
from spatten_hw.host.layout import Plane, Write
from spatten_hw.host.plan import LayerPass
from spatten_hw.host.quantise import codes_of

from .jobs import DecoderJobs
from .model import OPERANDS, DecoderModel


@dataclass(frozen=True)
class Rows:
    """Integers [heads, n, D] of `bits` bits that go to a plane from token `first` on."""

    plane: Plane
    first: int
    values: np.ndarray
    bits: int


@dataclass(frozen=True)
class CacheTask:
    """A layer job for an engine: the pass with its integers, what it adds to memory, and the real operands q [heads,
    rows, D], k, v [heads, tokens, D], for the float engine."""

    layer_pass: LayerPass
    rows: tuple[Rows, ...]
    real: tuple[np.ndarray, np.ndarray, np.ndarray]

    @property
    def passes(self) -> list[LayerPass]:
        return [self.layer_pass]

    def layer_data(self, layer: int) -> Iterator[Write]:
        """The new rows; those that are in memory already are not written again."""
        for r in self.rows:
            yield from r.plane.part(r.first, r.plane.pack(r.values, r.bits))

    def scores_to_load(self, p: LayerPass, stored: np.ndarray | None) -> None:
        """Scores stay in the accelerator."""


class KvCache:
    """K and V of all layers so far: `real` and `codes`, "k", "v" → [layers, K/V heads, context, D], divided by the
    model's folds."""

    def __init__(self, jobs: DecoderJobs):
        self.jobs = jobs
        model = jobs.model
        shape = (model.layers, model.kv_heads, model.context, model.dim)
        self.real = {name: np.zeros(shape) for name in ("k", "v")}
        self.codes = {name: np.zeros(shape, dtype=np.int64) for name in ("k", "v")}

    def append(self, layer: int, first: int, new: dict[str, np.ndarray]) -> tuple[tuple[Rows, ...], np.ndarray]:
        """Puts rows "q", "k", "v" of [heads, n, D] real numbers in place, from token `first` on; they are `folded`
        already. Returns what to write into the accelerator's memory, and Q's integers."""
        jobs, s = self.jobs, self.jobs.settings
        codes = {name: codes_of(new[name], jobs.scales[name][layer][:, None, None], s.bits[name]) for name in OPERANDS}
        where = slice(first, first + new["k"].shape[1])
        for name in ("k", "v"):
            self.real[name][layer, :, where] = new[name]
            self.codes[name][layer, :, where] = codes[name]
        planes = jobs.planes[layer]
        q_plane = jobs.query_planes(new["q"].shape[1])[0]
        rows = tuple(Rows(q_plane, 0, values, bits) if name == "q" else Rows(planes[name], first, values, bits)
                     for name, values, bits in jobs.builder.parts(**codes))
        return rows, codes["q"]


def folded(model: DecoderModel, layer: int, new: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows "q", "k", "v" [heads, n, D] with the model's factors by channel: Q times K's, K and V divided by theirs."""
    if model.folds is None:
        return new
    return dict(zip(OPERANDS, Folds(model.folds["k"][layer], model.folds["v"][layer]).divided(**new), strict=True))


def unfolded(model: DecoderModel, layer: int, out: np.ndarray) -> np.ndarray:
    """Outputs [heads, n, D] of folded V as those of V."""
    if model.folds is None:
        return out
    return Folds(model.folds["k"][layer], model.folds["v"][layer]).multiplied(out)

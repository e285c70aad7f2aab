"""The least cycles a layer can take on a build: what its multipliers, its top-k engine and its memory allow.

Summed over the work items of a layer (a vector of n keys of which k are kept; D/N chunks of a row, of which each of
the S slices multiplies one per cycle; P top-k lanes):

* `score`: D/N times the keys of the slice that has most of them, once more for a row with LSBs (by key: of the keys
  that have them). In a prompt that is ceil(n/S) for every item; in generation slices run ahead of each other, and
  tokens are spread by their ids: the largest sum over the layer's heads counts;
* `value`: D/N · k/S, as if the kept values were spread evenly;
* `topk`: ceil(n/P) on the line-rate engine and where nothing is pruned; quick-select reads a vector at least twice,
  once to choose by a pivot and once to filter: 2·ceil(n/P);
* `bytes`: bytes read / peak bytes per cycle, as if the rows were spread evenly over the channels. Writes have a channel
  of their own and are not counted.

The bound of a layer is the largest of the four, that of layers which follow each other the sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import LayerJob
from spatten_hw.host.words import WORD_BYTES
from spatten_hw.sim.golden.fetch import touched_beats
from spatten_hw.sim.golden.layer_result import LayerResult

#: What the table calls the bounds.
LABELS = {"score": "Q×K", "value": "Prob×V", "topk": "top-k", "bytes": "bytes"}


@dataclass(frozen=True)
class Bound:
    """Cycles each unit needs at least; `limit` and `roof` add up over layers like the others."""

    score: float = 0
    value: float = 0
    topk: float = 0
    bytes: float = 0
    #: Σ over layers of the largest.
    limit: float = 0
    #: The same without top-k, whose engine is a choice: what the arrays and the memory allow.
    roof: float = 0

    @property
    def binds(self) -> str:
        """The unit that needs most."""
        return max(LABELS, key=lambda name: getattr(self, name))

    def __add__(self, other: Bound) -> Bound:
        return Bound(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Bound) -> Bound:
        return Bound(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def as_json(self) -> dict[str, object]:
        return {f.name: round(getattr(self, f.name), 3) for f in fields(self)} | {"binds": self.binds}


def total(bounds: Iterable[Bound]) -> Bound:
    """Bound of layers that follow each other."""
    return sum(bounds, start=Bound())


def layer_bound(job: LayerJob, result: LayerResult, config: SpAttenConfig) -> Bound:
    """The bound of one job, from what the golden model says of it: who was alive, what was replayed and read."""
    chunks, slices, lanes = job.dim // config.chunk, config.slices, config.topk_lanes
    alive = int(result.tokens_alive.sum())
    # Keys of each query, in the order of the rows of `result`.
    keys = np.zeros(result.written.shape[1], dtype=np.int64)
    if job.generate:
        # Several queries are the last survivors; with `causal` each sees those up to its own.
        keys[:] = alive - (np.arange(len(keys))[::-1] if job.causal else 0)
    else:
        keys[result.tokens_alive] = np.arange(1, alive + 1) if job.causal else alive
    heads = result.written.sum(axis=0)
    # A vector none of whose values may be pruned passes the engine once.
    pruned = (job.keep_values < keys) | (job.mass_share > 0)
    reads = np.where(pruned, config.engine.passes, 1)

    def cycles(count: np.ndarray, per_cycle: int, times: np.ndarray) -> float:
        return float((-(-count // per_cycle) * times).sum())

    scored = chunks * (fullest_slice(job, result, config) if job.generate
                       else cycles(keys, slices, heads + result.refetched.sum(axis=0)))
    units = (scored, float(result.kept.sum()) * chunks / slices,
             cycles(keys, lanes, heads * reads),
             read_bytes(job, result, config) / (config.channels * config.beat_bytes))
    return Bound(*units, limit=max(units), roof=max(units[0], units[1], units[3]))


def fullest_slice(job: LayerJob, result: LayerResult, config: SpAttenConfig) -> int:
    """Keys that the slice with most of them scores in a generation job: token t of K/V head h is in slice
    (t + h) mod S, and every query head of the group scores it, flat ones once more those whose LSBs were read. Of
    several queries with `causal` each scores the tokens up to its own."""
    def classes(tokens: np.ndarray) -> np.ndarray:
        return np.bincount(np.flatnonzero(tokens) % config.slices, minlength=config.slices)

    # Of every row: query heads of each K/V head that score it, once and again.
    items, flat = (of.reshape(job.heads, job.group, -1).sum(axis=1) for of in (result.written, result.refetched))
    keys = np.zeros(config.slices, dtype=np.int64)
    rows = items.shape[1]
    for row in range(rows):
        seen = np.arange(job.tokens) <= job.tokens - (rows - row if job.causal else 1)
        alive = classes(result.tokens_alive & seen)
        for head, listed in enumerate(result.lsb_keys):
            if items[head, row]:
                again = flat[head, row] * classes(listed & seen) if flat[head, row] else 0
                keys += np.roll(items[head, row] * alive + again, head)
    return int(keys.max())


def read_bytes(job: LayerJob, result: LayerResult, config: SpAttenConfig) -> int:
    """Bytes the job reads: all classes but outputs and stored state."""
    stored = sum(int(touched_beats(addr, WORD_BYTES * len(words), config)) * config.beat_bytes
                 for addr, words in ((job.ids_out, result.ids), (job.scores_out, result.scores)) if words is not None)
    return sum(result.bytes.values()) - result.bytes["out"] - stored

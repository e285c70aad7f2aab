"""A top-k engine in simulation: vectors back to back, their cycles, and whether what it keeps is the golden model's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from spatten_hw.config import PROB_BITS, SpAttenConfig
from spatten_hw.engines import TOPK, topk_engine
from spatten_hw.sim.harness.block import Block
from spatten_hw.topk.interface import TopKEngine

from .blocks import compare, rows_of

#: Cycles by which one vector's threshold may be later than another's of its length.
JITTER = 1
#: Vectors before the first one counted: the pipeline fills.
WARM_UP = 3

Vectors = Sequence[tuple[np.ndarray, int]]


@dataclass
class Row:
    """A case on an engine."""

    engine: str
    lanes: int
    case: str
    data: str
    vectors: int
    cycles: float
    worst: int
    stated: int | None
    waits: int
    bound: float
    latency: int | None = None
    stated_latency: int | None = None
    target: float | None = None
    mismatches: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Whether the target is reached, no vector took longer than stated, and none waited if one pass is enough."""
        return ((self.stated is None or self.worst <= self.stated + JITTER)
                and (self.target is None or self.cycles <= self.target)
                and (TOPK[self.engine].passes > 1 or self.waits == 0))

    @property
    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.cycles / self.bound, "met": self.met, "bit_exact": not self.mismatches}


class Engine:
    """An engine in simulation, with the keys of local value pruning, `lanes` per cycle, `max_n` at most."""

    def __init__(self, name: str, config: SpAttenConfig, lanes: int, max_n: int,
                 progress: Callable[[str], None] | None = None):
        self.name, self.lanes = name, lanes
        sizes = (PROB_BITS, lanes, max_n)
        self.block = Block(topk_engine, name, *sizes, progress=progress)
        self.stated = self.block.component
        assert isinstance(self.stated, TopKEngine)

    def run(self, vectors: Vectors) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """The cycles of every input row and of every threshold, and differences from the golden model."""
        rows = rows_of([v for v, _ in vectors], self.lanes, fill=(1 << PROB_BITS) - 1)
        self.block.receive("o")
        self.block.send("i", {"keys": rows.values, "live": (1 << rows.count) - 1, "last": rows.last,
                              "k": np.array([k for _, k in vectors])[rows.vector]})
        golden = TOPK[self.name]().golden_mask()
        limit = 2000 + sum(self.stated.most_cycles(len(v)) + len(v) for v, _ in vectors)
        self.block.run(limit, o=len(vectors))
        out = self.block.taken("o")
        got = out.columns()
        mismatches: list[str] = []
        for (keys, k), bound, quota in zip(vectors, got["threshold"], got["keep_equal"], strict=True):
            equal = keys == bound
            compare("kept", (keys > bound) | (equal & (np.cumsum(equal) <= quota)), golden(keys, k), mismatches)
        return self.block.taken("i").cycles, out.cycles, mismatches

    def measure(self, case: str, data: str, vectors: Vectors, target: float | None = None,
                alone: int | None = None) -> Row:
        """Vectors back to back; `alone`: the length whose latency is measured, too.

        Only of vectors of one length may each be held against what is stated: a long one that follows short ones
        leaves later than they by what it takes longer in the engine, though none waited.
        """
        _, ends, mismatches = self.run(vectors)
        gaps = np.diff(ends)[WARM_UP:]
        lengths = [len(v) for v, _ in vectors]
        counted = [-(-n // self.lanes) for n in lengths[WARM_UP + 1:]]
        stated = self.stated.most_cycles(lengths[0]) if len(set(lengths)) == 1 else None
        row = Row(self.name, self.lanes, case, data, len(vectors), float(gaps.mean()), int(gaps.max()), stated,
                  self.block.taken("i").blocked, sum(counted) / len(counted), target=target,
                  mismatches=[f"{self.name}, P={self.lanes}, {case}, {data}: {text}" for text in mismatches])
        if alone is not None:
            starts, ends, _ = self.run([v for v in vectors if len(v[0]) == alone][:1])
            row.latency, row.stated_latency = int(ends[0] - starts[0]), self.stated.latency(alone)
        return row

"""What the hardware leaves behind: completions, counters, and what a layer's pass wrote."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .plan import LayerPass
from .results import BYTE_CLASSES


@dataclass(frozen=True)
class Completion:
    """A finished job; `error` is 0 or an `ErrorCode`."""

    tag: int
    error: int


@dataclass(frozen=True)
class Counters:
    """The performance counters: all of them by name in `values`."""

    values: dict[str, int]

    @property
    def cycles(self) -> int:
        """Cycles in which a job ran."""
        return self.values["cycles"]

    @property
    def queries(self) -> int:
        return self.values["queries"]

    @property
    def refetched(self) -> int:
        """Rows that fetched LSBs."""
        return self.values["refetches"]

    @property
    def bytes(self) -> dict[str, int]:
        """Memory traffic by class."""
        return {name: self.values[f"bytes_{name}"] for name in BYTE_CLASSES}


@dataclass(frozen=True)
class LayerOutcome:
    """What one pass left in memory: `out` integers [query_heads, rows, D] and which rows were `touched`; the
    words of the survivor list and of the scores (if stored; without a list, `tokens_alive` and `heads_alive` are
    empty); `cycles` since the job before ended."""

    layer_pass: LayerPass
    out: np.ndarray
    touched: np.ndarray
    ids: np.ndarray | None
    scores: np.ndarray | None
    cycles: int
    tokens_alive: np.ndarray = field(init=False)
    heads_alive: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        job = self.layer_pass.job
        words = np.zeros(1, dtype=np.uint64) if self.ids is None else self.ids
        count = int(words[0]) & 0xFFFFFFFF
        for name, ids, size in (("tokens_alive", words[1:1 + count], job.tokens),
                                ("heads_alive", words[1 + count:], job.heads)):
            alive = np.zeros(0 if self.ids is None else size, dtype=bool)
            alive[[int(i) for i in ids if i < size]] = True
            object.__setattr__(self, name, alive)

"""What the hardware leaves behind: completions, counters, and what a layer's pass wrote."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .plan import LayerPass
from .results import BYTE_CLASSES
from .words import unpack_survivors


@dataclass(frozen=True)
class Completion:
    """A finished job; `error` is 0 or an `ErrorCode`."""

    tag: int
    error: int


@dataclass(frozen=True)
class Counters:
    """The performance counters that were read, by name in `values`."""

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
    words of the survivors and of the scores (if stored; without survivors, `tokens_alive` and `heads_alive` are
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
        nobody = np.zeros(0, dtype=bool)
        alive = (nobody, nobody) if self.ids is None else unpack_survivors(self.ids, job.tokens, job.heads)
        object.__setattr__(self, "tokens_alive", alive[0])
        object.__setattr__(self, "heads_alive", alive[1])

"""What a run gives, and places that come back in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Run:
    """Cycles that a layer took, and those that each kind of work needs at least if it is spread evenly."""

    cycles: float
    bounds: dict[str, float]

    @property
    def binds(self) -> str:
        return max(self.bounds, key=lambda name: self.bounds[name])

    @property
    def bound(self) -> float:
        return self.bounds[self.binds]

    @property
    def ratio(self) -> float:
        return self.cycles / self.bound

    def __sub__(self, other: Run) -> Run:
        """What more heads take."""
        return Run(self.cycles - other.cycles, {n: b - other.bounds[n] for n, b in self.bounds.items()})


def mean(runs: Iterable[Run]) -> Run:
    """The mean of runs of one case with different draws."""
    found = list(runs)
    return Run(float(np.mean([r.cycles for r in found])),
               {n: float(np.mean([r.bounds[n] for r in found])) for n in found[0].bounds})


class Ring:
    """Places that are handed out in order, and can be handed out again in that order, however they come back."""

    def __init__(self, size: int):
        self.size, self.taken, self.back = size, 0, 0
        self.waiting: set[int] = set()

    def room(self, count: int) -> bool:
        return self.taken - self.back + count <= self.size

    def free(self, number: int) -> None:
        """Place `number`, counted from the first one ever taken, is not needed any more."""
        self.waiting.add(number)
        while self.back in self.waiting:
            self.waiting.remove(self.back)
            self.back += 1

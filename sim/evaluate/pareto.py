"""Which points are worth having: those that no other one beats, and the cheapest within a loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pareto(costs: Sequence[float], losses: Sequence[float]) -> list[int]:
    """Indices of points that no other point equals or beats in both and beats in one, by rising cost; of equal points
    the first."""
    order = sorted(range(len(costs)), key=lambda i: (costs[i], losses[i], i))
    front: list[int] = []
    least = np.inf
    for i in order:
        if losses[i] < least:
            front.append(i)
            least = losses[i]
    return front


def cheapest(costs: Sequence[float], losses: Sequence[float], most: float) -> int | None:
    """The point of least cost among those with loss ≤ `most`, of equal ones that of least loss, if any."""
    within = [i for i in range(len(costs)) if losses[i] <= most]
    return min(within, key=lambda i: (costs[i], losses[i], i)) if within else None

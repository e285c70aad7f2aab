"""Batcher's odd-even merge sort: the sorter that the paper sets its top-k engine against."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

#: A stage: pairs (low, high) that are compared at once.
Stage = list[tuple[int, int]]


def network(n: int) -> list[Stage]:
    """The stages of the network for n keys, n a power of two: log2(n)·(log2(n) + 1) / 2 of them.

    ValueError for another n. (K. E. Batcher, "Sorting networks and their applications", AFIPS 1968.)
    """
    if n < 2 or n & (n - 1):
        raise ValueError(f"n must be a power of two from 2 on, not {n}")
    return list(_stages(n))


def _stages(n: int) -> Iterator[Stage]:
    run = 1
    while run < n:                      # sorted runs of this length are merged to twice the length
        distance = run
        while distance:
            first = distance % run
            pairs = [(at + i, at + i + distance) for at in range(first, n - distance, 2 * distance)
                     for i in range(min(distance, n - distance - at))]
            yield [(a, b) for a, b in pairs if a // (2 * run) == b // (2 * run)]
            distance //= 2
        run *= 2


def comparators(n: int) -> int:
    """Compare-exchange elements of the network: (p² − p + 4)·2^(p − 2) − 1 with p = log2(n)."""
    p = n.bit_length() - 1
    return int((p * p - p + 4) * n / 4 - 1)


def sort(keys: np.ndarray) -> np.ndarray:
    """The keys [..., n] in ascending order, as the network sorts them."""
    out = np.array(keys)
    for stage in network(out.shape[-1]):
        low, high = (np.array(side) for side in zip(*stage, strict=True))
        a, b = out[..., low], out[..., high]
        out[..., low], out[..., high] = np.minimum(a, b), np.maximum(a, b)
    return out

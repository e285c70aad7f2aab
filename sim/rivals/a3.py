"""A3 (T. J. Ham et al., "A^3: Accelerating Attention Mechanisms in Neural Networks with Approximation", HPCA 2020).

K and V lie dense in SRAM; a query passes three pipelined modules (scores, softmax, output), each of which takes a key
per cycle. Approximate: the columns of K are sorted beforehand; per query, a greedy search takes the largest products
of q's elements with sorted elements, one per cycle, for M cycles; keys whose partial scores become positive are the
candidates, whose scores are computed; and of these, those far below the largest leave before the output.

Its paper was not at hand: structure and settings are as others quote them, the constants below are assumed.
"""

from __future__ import annotations

import numpy as np

from .dense import dense_bytes
from .layers import Layers
from .rival import Cost, Machine

#: Cycles of a query beside one per key: the depth of a module.
OVERHEAD = 9
#: Bits of Q, K and V: 4 of integer, 4 of fraction, and a sign.
BITS = 9


class A3Base:
    """Without approximation."""

    name = "a3-base"
    title = "A3, exact"
    source = "Ham et al., HPCA 2020 (arXiv 2002.10941)"
    assumptions: tuple[str, ...] = (
        "A query takes n + 9 cycles (9 assumed): each module one key per cycle, D multipliers each (D = 64: 128 in "
        "all). More multipliers are more such pipelines.",
        "K and V of a head are loaded while the head before is computed; 9 bits each.",
        "Contexts of any length fit (the paper's build holds 320 keys).")

    def cycles_per_query(self, keys: np.ndarray) -> np.ndarray:
        """In the slowest module."""
        return keys + OVERHEAD

    def cycles_per_head(self, keys: np.ndarray, dim: np.ndarray) -> np.ndarray:
        """Before the first query of a head."""
        return 0 * keys

    def done(self, keys: np.ndarray) -> np.ndarray:
        """Keys scored and values added per query, together."""
        return 2 * keys

    def cost(self, layers: Layers, machine: Machine) -> Cost:
        """Nothing is saved in memory: K and V come dense."""
        d, moved = layers.dense(), dense_bytes(layers, BITS)
        keys, heads = d.keys_per_query, d.heads * d.group
        # Pipelines of 2·D multipliers; heads are spread over them.
        busy = heads * (d.queries * self.cycles_per_query(keys) + self.cycles_per_head(keys, d.dim))
        cycles = np.maximum(busy * 2 * d.dim / machine.multipliers, moved / machine.bytes_per_cycle)
        return Cost(cycles, moved, 2 * d.queries * heads * d.dim * self.done(keys))


class A3(A3Base):
    """With its approximation, in the conservative setting."""

    name = "a3"
    title = "A3, approximate"
    #: Steps of the greedy search per key: M = n / 2 is the conservative setting, n / 8 the aggressive one.
    search = 0.5
    assumptions = (
        *A3Base.assumptions,
        "The greedy search takes M = n/2 cycles and finds as many candidates as it takes steps (the most it can): "
        "scores, search and output each n/2 cycles, pipelined.",
        "Sorting K is on the path of self-attention, since K is new in every head: D columns sorted at once by D "
        "merging units, n·log2(n) cycles per head, not overlapped with the search.",
        "Accuracy is as its paper gives it; nothing here checks it.")

    def cycles_per_query(self, keys: np.ndarray) -> np.ndarray:
        return np.ceil(self.search * keys) + OVERHEAD

    def cycles_per_head(self, keys: np.ndarray, dim: np.ndarray) -> np.ndarray:
        return np.ceil(keys * np.log2(np.maximum(keys, 2)))

    def done(self, keys: np.ndarray) -> np.ndarray:
        return 2 * np.ceil(self.search * keys)

"""A prompt on the sliced machine: K and V of a head are filled into the slices and used by all its queries.

Queries follow each other in order, so the time at which each leaves a block follows from the query before and from
this one's time at the block before; slices are columns of numpy arrays. Fills and Q rows share one narrow way, a row
step per cycle for the whole machine; Q goes first, and fills get what is left on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .layer import Layer
from .machine import Machine
from .run import Run
from .vectors import VectorPath


@dataclass
class Fills:
    """The shared way: when the fills of a head are done, and when its SRAM halves are free again."""

    step: int           # cycles of a row
    share: float        # of the way that Q rows leave
    free: float

    def fill(self, rows: int, half_free: float, alone: bool) -> float:
        """The end of a fill that may begin when its half is free."""
        self.free = max(self.free, half_free) + rows * self.step / (1 if alone else self.share)
        return self.free


class Prompt:
    """`run` gives the cycles of a layer."""

    def __init__(self, layer: Layer, machine: Machine, seed: int = 0):
        self.layer, self.machine, self.lat = layer, machine, machine.latencies
        self.rng = np.random.default_rng(seed)
        self.lanes = np.arange(machine.slices)
        self.chunks = machine.chunks(layer.dim)
        self.vectors = VectorPath(layer, machine)
        self.query_steps = max(machine.beats(layer.dim, layer.query_bits), self.chunks)
        mean = np.mean([self.spread(self.keys(q)).max() for q in range(layer.tokens)]) * self.chunks
        step = max(machine.beats(layer.dim, layer.bits), self.chunks)
        self.fills = Fills(step, max(0.05, 1 - self.query_steps / mean), self.lat.start)
        self.score_free, self.value_free = np.zeros((2, machine.slices))
        self.walker = self.query_free = float(self.lat.start)
        self.gather_free = self.tree_free = self.end = 0.0
        #: When the slot and the item (its sums, too) of every query was free again.
        self.slots: list[float] = []
        self.items: list[float] = []
        self.work = {"bytes": 0.0, "Q×K": 0.0, "Prob×V": 0.0}

    def keys(self, query: int) -> int:
        return query + 1 if self.layer.causal else self.layer.tokens

    def spread(self, keys: int) -> np.ndarray:
        """Keys per slice: by position."""
        return (keys - self.lanes + self.machine.slices - 1) // self.machine.slices

    def run(self) -> Run:
        layer, path = self.layer, self.machine.memory_latency + self.lat.request + self.lat.query
        scored, valued = [0.0, 0.0], [0.0, 0.0]
        for kv in range(layer.heads // layer.group):
            fills = 2
            k_there = self.fills.fill(layer.tokens, scored[-2], kv == 0) + path
            v_there = self.fills.fill(layer.tokens, valued[-2], False) + path
            queries = [q for q in range(layer.tokens) for _ in range(layer.group)]
            for q in queries:
                self.query(self.keys(q), k_there, v_there)
            again = [q for q in queries if layer.lsb_bits and self.rng.random() < layer.flat]
            if again:
                # LSBs come beside the first pass.
                fills += 2
                k_there = self.fills.fill(layer.tokens, 0, False) + path
                v_there = self.fills.fill(layer.tokens, 0, False) + path
            for q in again:
                self.query(self.keys(q), k_there, v_there)
            scored.append(self.score_free.max())
            valued.append(self.value_free.max())
            rows = fills * layer.tokens * self.fills.step + (len(queries) + len(again)) * self.query_steps
            self.work["bytes"] += rows / self.machine.channels
        return Run(self.end + self.lat.finish, self.work)

    def query(self, keys: int, k_there: float, v_there: float) -> None:
        """One query of one head."""
        m, lat, number = self.machine, self.lat, len(self.items)
        counts = self.spread(keys)
        rows = int(counts.max())
        # A slot and an item, the Q row, Q×K in every slice by itself.
        self.walker = max(self.walker + 1, self.slots[-m.slots] if number >= m.slots else 0,
                          self.items[-m.items] if number >= m.items else 0)
        self.query_free = max(self.query_free, self.walker) + self.query_steps
        there = self.query_free + lat.request + m.memory_latency + lat.query
        self.score_free = np.maximum(self.score_free, max(there, k_there)) + counts * self.chunks
        vector = self.vectors.send(rows, int(self.score_free.max()) + lat.score)
        self.slots.append(vector.read)
        kept_at = self.vectors.prune(rows, vector.first)
        # The gather waits for sums, for V, and while a slice's queue is full.
        sums = self.items[-m.sums] if number >= m.sums else 0
        start = max(kept_at, self.gather_free, sums)
        kept = counts if not self.layer.pruned else np.bincount(
            self.rng.choice(keys, min(keys, self.layer.kept), replace=False) % m.slices, minlength=m.slices)
        self.value_free = np.maximum(np.maximum(self.value_free, max(start + lat.gather, v_there)) + kept * self.chunks,
                                     start + lat.gather + rows)
        self.gather_free = max(start + rows + lat.gather_gap, self.value_free.max() - m.value_queue * self.chunks)
        drain = max(self.value_free.max() + lat.value, self.tree_free)
        self.tree_free = drain + m.drain_cycles(self.layer.dim)
        self.items.append(drain + self.chunks)
        self.end = self.tree_free + m.levels + lat.drain
        self.work["Q×K"] += rows * self.chunks
        self.work["Prob×V"] += int(kept.sum()) * self.chunks / m.slices

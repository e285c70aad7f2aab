"""The way of a vector through softmax and local top-k, whose lanes are the slices: times only."""

from __future__ import annotations

from typing import NamedTuple

from .layer import Layer
from .machine import Machine


class Read(NamedTuple):
    """A vector in the softmax: when its scores have been read (its slot is free), its first row of probabilities."""

    read: int
    first: int


class VectorPath:
    """Three passes work on three vectors at once, one row per cycle each; so does local top-k behind them."""

    def __init__(self, layer: Layer, machine: Machine):
        self.machine, self.pruned, self.lat = machine, layer.pruned, machine.latencies
        self.exp_free = self.normalise_free = self.kept_free = 0

    def send(self, rows: int, now: int) -> Read:
        """A vector all of whose scores are stored at `now`."""
        pace = rows * self.lat.rows
        start = max(now, self.exp_free)
        self.exp_free = start + pace
        first = max(start + self.lat.probabilities(rows), self.normalise_free)
        self.normalise_free = first + pace
        return Read(self.exp_free, first)

    def prune(self, rows: int, first: int) -> int:
        """When its last row is behind local top-k; `first`: its first row of probabilities."""
        pace = rows * self.lat.rows
        engine = -(-rows * self.machine.slices // self.machine.topk_lanes)
        last = max(first + self.lat.kept(rows, engine, self.pruned), self.kept_free + pace)
        self.kept_free = last
        return last

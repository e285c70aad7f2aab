"""What a rival is: a name, where its figures are from, what is assumed, and what layers cost on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .layers import Layers


@dataclass(frozen=True)
class Machine:
    """The yardstick: multipliers in all, bytes of DRAM per cycle, GHz."""

    multipliers: int = 128
    bytes_per_cycle: float = 64.0
    clock_ghz: float = 1.0

    @property
    def peak_gops(self) -> float:
        """Operations per second that the multipliers allow, in 10^9: a product and a sum each."""
        return 2 * self.multipliers * self.clock_ghz


#: SpAtten-1/8, A3 and MNNFast as the paper compares them, and SpAtten's own size.
EIGHTH = Machine()
FULL = Machine(1024, 512.0)


@dataclass(frozen=True)
class Cost:
    """Arrays [N], a run of a layer each: cycles, bytes from and to DRAM, operations really done."""

    cycles: np.ndarray
    bytes: np.ndarray
    operations: np.ndarray

    def gops(self, wanted: Layers, machine: Machine) -> float:
        """Effective 10^9 operations per second: those of the *dense* layers by the time that this took."""
        return float(wanted.dense().operations.sum() / self.cycles.sum() * machine.clock_ghz)

    def done_gops(self, machine: Machine) -> float:
        """10^9 operations per second that were really done."""
        return float(self.operations.sum() / self.cycles.sum() * machine.clock_ghz)


class Rival(Protocol):
    """One to be compared; `docs/rivals.md` shows how to write one."""

    @property
    def name(self) -> str:
        """By which it is chosen."""

    @property
    def title(self) -> str:
        """How tables call it."""

    @property
    def source(self) -> str:
        """Where what it does is described."""

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is not in the source, or was simplified; a sentence each."""

    def cost(self, layers: Layers, machine: Machine) -> Cost:
        """Of these layers, pruned as far as this rival can."""
        ...

"""How the simulated memories behave: latency, order, back-pressure, and what is in the way on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MemoryOptions:
    """How the memories behave (order of `struct Options` in memory.h). Probabilities are out of 256 per cycle.

    With a model of DRAM behind the ports `latency` means nothing; everything else is added to what the model does.
    """

    latency: int = 16             # cycles from address to first data, and from last write beat to response
    extra: int = 0                # random additional latency, 0 … extra
    reorder: bool = False         # answers of different ids in random order
    interleave: bool = False      # beats of read bursts of different ids mixed
    stall_ar: int = 0             # cycle without ready
    stall_aw: int = 0
    stall_w: int = 0
    gap_r: int = 0                # cycle without valid
    gap_b: int = 0
    ready_after_valid: bool = False   # ready only after valid has been seen waiting
    max_reads: int = 0            # read bursts in flight per channel; 0 = no limit
    seed: int = 1
    fill: int = 0                 # byte that memory never written holds

    def __post_init__(self) -> None:
        if self.latency < 1 or self.extra < 0 or self.max_reads < 0 or not 0 <= self.fill < 256:
            raise ValueError(f"memory options out of range: {self}")
        for name in ("stall_ar", "stall_aw", "stall_w", "gap_r", "gap_b"):
            if not 0 <= getattr(self, name) < 256:
                raise ValueError(f"{name} = {getattr(self, name)}: must be 0 … 255")


#: A memory as unpleasant as AXI4 allows, for tests.
HOSTILE: dict[str, Any] = {"latency": 3, "extra": 40, "reorder": True, "interleave": True, "stall_ar": 100,
                           "stall_aw": 100, "stall_w": 100, "gap_r": 100, "gap_b": 100, "fill": 0xA5}


@dataclass(frozen=True)
class Trouble:
    """What a channel does to be in the way, beside its `MemoryOptions` (order of `struct Trouble` in trouble.h)."""

    extra: int = 0         # cycles on top of every latency
    newest: int = 0        # > 0: no answer before no address has come for so many cycles, then the newest burst first
    hold_ar: bool = False  # nothing passes
    hold_r: bool = False
    hold_aw: bool = False
    hold_w: bool = False
    hold_b: bool = False

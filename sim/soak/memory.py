"""Memories at random: late, stalling, out of order, or a model of DRAM."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from spatten_hw.sim.dram.timing import PRESETS
from spatten_hw.sim.harness.memory_options import HOSTILE, MemoryOptions
from spatten_hw.sim.harness.transport import VerilatedTransport

MODELS = sorted(name for name, timing in PRESETS.items() if timing is not None)


@dataclass(frozen=True)
class Memory:
    """`dram`: name of a model in `spatten_hw.sim.dram.timing`, or None; `options`: of `MemoryOptions`; `trouble`:
    fields of `Trouble` for one channel (`channel`) or all (None)."""

    kind: str
    dram: str | None
    options: dict[str, Any]
    trouble: dict[str, Any]
    channel: int | None = None

    @property
    def slowness(self) -> int:
        """About how many times the cycles of a plain memory things take."""
        return {"plain": 1, "dram": 2, "random": 6, "hostile": 4}[self.kind] * (2 if self.trouble else 1)

    def apply(self, port: VerilatedTransport) -> None:
        """Makes the memories of `port` behave so from now on (but for the model of DRAM, which a transport has from
        its beginning). Nothing may be in flight."""
        port.configure(MemoryOptions(**self.options))
        port.trouble()
        if self.trouble:
            port.trouble(self.channel, **self.trouble)


def random_memory(rng: random.Random, channels: int, dram: str | None) -> Memory:
    """A memory; `dram` is behind the ports already, if any."""
    kind = "dram" if dram else rng.choice(["plain", "plain", "random", "random", "hostile"])
    seed: dict[str, Any] = {"seed": rng.randrange(1 << 16), "fill": rng.randrange(256)}
    if kind == "random":
        options = random_options(rng)
    elif kind == "hostile":
        options = dict(HOSTILE)
    else:
        options = {"latency": rng.choice([1, 16, 40])}
    trouble: dict[str, Any] = {}
    channel = None
    if kind in ("random", "hostile") and rng.random() < 0.4:
        if rng.random() < 0.6:
            trouble, channel = {"extra": rng.randrange(300)}, rng.randrange(channels)
        else:
            trouble = {"newest": rng.randrange(5, 40)}
    return Memory(kind, dram, options | seed, trouble, channel)


def random_options(rng: random.Random) -> dict[str, Any]:
    """A memory that is late, stalls and reorders somehow: keywords of `MemoryOptions`."""
    return {"latency": rng.choice([1, 5, 60]), "extra": rng.choice([0, 10, 200]), "reorder": rng.random() < 0.8,
            "interleave": rng.random() < 0.5, "ready_after_valid": rng.random() < 0.3,
            "max_reads": rng.choice([0, 0, 1, 4]),
            **{name: rng.choice([0, 60, 200]) for name in ("stall_ar", "stall_aw", "stall_w", "gap_r", "gap_b")}}

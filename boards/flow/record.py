"""What is kept of a build: as JSON beside the bitstream, and as lines for a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from spatten_hw.config import SpAttenConfig
from spatten_hw.output import write_all

from .devices import Device
from .families import Utilisation
from .place import Placement
from .synthesis import Block
from .tools import NOTHING, Usage, tool_names

#: `Utilisation` field → what it is called on each family.
NAMES = {"luts": "LUTs", "flip_flops": "flip-flops", "dsps": "DSPs", "brams": "block RAMs"}


@dataclass(frozen=True)
class Record:
    """A build. `wanted_mhz`: the clock's frequency; `placements`: one per seed, none where nothing here can place;
    `bitstream`: file name, if there is one; `other`: what the steps beside synthesis and placement cost; `elapsed`:
    seconds from its begin to its end, with up to `jobs` tools at a time."""

    board: str
    config: SpAttenConfig
    device: Device
    memory: str
    wanted_mhz: float
    blocks: Sequence[Block]
    placements: Sequence[Placement]
    bitstream: str | None
    other: Usage = NOTHING
    jobs: int = 1
    elapsed: float = 0

    @property
    def utilisation(self) -> Utilisation:
        """Of all blocks together, as synthesised."""
        return sum((block.utilisation for block in self.blocks), Utilisation())

    @property
    def reached(self) -> list[float]:
        """MHz of the slowest clock per seed, as estimated from the placement where the router was stuck."""
        return [p.slowest.reached for p in self.placements]

    @property
    def best(self) -> Placement | None:
        """The routed placement with the most margin."""
        return max((p for p in self.placements if not p.stuck), key=lambda p: p.margin, default=None)

    @property
    def met(self) -> bool | None:
        """Whether the best seed meets every clock; None if nothing was placed."""
        return (self.best is not None and self.best.met) if self.placements else None

    @property
    def usage(self) -> Usage:
        """All tools as if one after the other, cached synthesis at what it once cost."""
        return sum([*(b.usage for b in self.blocks), *(p.usage for p in self.placements)], self.other)

    @property
    def as_json(self) -> dict[str, object]:
        synthesis = sum((b.usage for b in self.blocks), NOTHING)
        return {
            "tools": tool_names(), "board": self.board, "device": self.device.name, "memory": self.memory,
            "config": self.config.fields,
            "config_hash": f"{self.config.hash:08x}", "wanted_mhz": self.wanted_mhz, "met": self.met,
            "bitstream": self.bitstream, "mhz_per_seed": {p.seed: p.slowest.reached for p in self.placements},
            "utilisation": self.utilisation.as_json, "device_holds": self.device.holds.as_json,
            "blocks": {b.module: {**b.utilisation.as_json, "cells": dict(b.cells), **b.usage.as_json,
                                  "cached": b.cached} for b in self.blocks},
            "synthesis": synthesis.as_json, "total": self.usage.as_json,
            "jobs": self.jobs, "elapsed_seconds": round(self.elapsed, 1),
            "placements": [p.as_json for p in self.placements],
        }

    def write(self, path: Path) -> None:
        """Writes the JSON."""
        write_all([(path, (json.dumps(self.as_json, indent=2) + "\n").encode())])

    def text(self) -> str:
        """Lines for a terminal."""
        used, holds = self.utilisation, self.device.holds
        lines = [f"{self.board} ({self.device.name}), '{self.config.name}' ({self.config.hash:08x}), "
                 f"memory {self.memory}, {self.wanted_mhz:g} MHz"]
        lines += [f"  {NAMES[name]}: {getattr(used, name):g} of {getattr(holds, name):g} "
                  f"({100 * getattr(used, name) / getattr(holds, name):.1f} %)" for name in NAMES]
        if self.placements:
            seeds = ", ".join(f"{p.slowest.reached:.1f} (seed {p.seed}{_how(p)})" for p in self.placements)
            lines.append(f"  MHz: {seeds}; median {median(self.reached):.1f}")
            lines += [f"  seed {p.seed}: {p.stuck}" for p in self.placements if p.stuck]
        usage = self.usage
        lines.append(f"  {usage.seconds:.0f} s of processor time, {self.elapsed:.0f} s of the clock, "
                     f"{self.jobs} at a time; at most {usage.peak_mb:.0f} MB each")
        if self.best is not None:
            lines += ["critical path of the best seed:", *(path.text() for path in self.best.paths[:1])]
        return "\n".join(lines)


def _how(placement: Placement) -> str:
    if placement.stuck:
        return ", placed, not routed"
    return f", best of {len(placement.routings)} routings" if len(placement.routings) > 1 else ""

"""A block run cycle by cycle, for worlds around it that answer what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import unpack


class Steps:
    """Streams and pulses of `block`, a cycle at a time: `read` gives what an output stream has moved since the last
    `read`, `pulse` holds inputs for a single cycle."""

    def __init__(self, block: Block):
        self.block = block
        self.seen: dict[str, int] = {}
        self.pulses: dict[str, Any] = {}

    def receive(self, stalls: dict[str, float], seed: int) -> None:
        for n, (name, stall) in enumerate(stalls.items()):
            self.block.receive(name, stall=stall, seed=seed + n)
            self.seen[name] = 0

    def read(self, name: str) -> list[dict]:
        moved = self.block.taken(name)
        at, self.seen[name] = self.seen[name], moved.fired
        if at == moved.fired:
            return []
        return rows(unpack(moved.layout, moved.payloads[at:]))

    def pulse(self, **values: Any) -> None:
        """Values of the next cycle only."""
        self.pulses |= values

    def step(self, look: Callable[[], None] = lambda: None) -> None:
        """One cycle; `look` is called in it, when all has settled."""
        self.block.set(**self.pulses)
        try:
            look()
            self.block.idle(1)
        finally:
            self.block.set(**dict.fromkeys(self.pulses, 0))
            self.pulses = {}


def rows(columns: dict) -> list[dict]:
    """Columns of payloads as one dict each."""
    count = len(next(c for c in columns.values() if not isinstance(c, dict)))
    parts = {k: rows(c) if isinstance(c, dict) else c.tolist() for k, c in columns.items()}
    return [{k: part[n] for k, part in parts.items()} for n in range(count)]

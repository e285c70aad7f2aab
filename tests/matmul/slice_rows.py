"""Payloads of operand chunks, and tiny builds, for the benches of Q×K of a slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.lib import data

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.payload import Elements, pack
from spatten_hw.stream.read_layouts import operand_chunk

_SHARED = {"max_heads": 8, "axi_data_bits": 32, "axi_addr_bits": 20, "reads": 4, "pool_beats": 64}

#: Chunks not a power of two, two slices of one channel; a channel per slice and the widest elements; one of everything.
BUILDS: dict[str, SpAttenConfig] = {
    "three chunks": SpAttenConfig(multipliers=8, chunk=4, max_dim=12, operand_bits=12, max_tokens=64, sram_tokens=16,
                                  max_group=3, slots=4, topk_lanes=2, channels=1, **_SHARED),
    "wide": SpAttenConfig(multipliers=32, chunk=8, max_dim=32, operand_bits=16, max_tokens=64, sram_tokens=32,
                          max_group=8, slots=8, topk_lanes=4, channels=4, **_SHARED),
    "one": SpAttenConfig(multipliers=4, chunk=4, max_dim=4, operand_bits=4, max_tokens=32, sram_tokens=16,
                         max_group=1, slots=2, topk_lanes=1, channels=1, **_SHARED),
}


def operands(rng: np.random.Generator, c: SpAttenConfig, shape: Any) -> np.ndarray:
    """Random elements over the whole range; one time in four only its two ends, one in eight only the lower one."""
    top = 1 << (c.operand_bits - 1)
    kind = rng.random()
    if kind < 0.125:
        return np.full(shape, -top)
    return rng.choice([-top, top - 1], shape) if kind < 0.375 else rng.integers(-top, top, shape)


@dataclass
class Chunks:
    """Operand chunks in the order in which they are sent, each after `after` payloads of another stream."""

    config: SpAttenConfig
    note: data.StructLayout
    values: list[np.ndarray] = field(default_factory=list)
    chunk: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    notes: list[dict[str, int]] = field(default_factory=list)
    after: list[int] = field(default_factory=list)

    def row(self, elements: np.ndarray, after: int = 0, **note: int) -> None:
        """A whole row of D elements."""
        n = self.config.chunk
        chunks = len(elements) // n
        for j in range(chunks):
            self.values.append(elements[j * n:(j + 1) * n])
            self.chunk.append(j)
            self.last.append(int(j == chunks - 1))
            self.notes.append(note)
            self.after.append(after)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def packed(self) -> np.ndarray:
        """The payloads."""
        c = self.config
        bits = np.array(self.values) & ((1 << c.operand_bits) - 1)
        notes = {name: np.array([int(note[name]) for note in self.notes]) for name in self.notes[0]}
        return pack(operand_chunk(c, self.note), {
            "data": Elements(bits, c.operand_bits), "chunk": np.array(self.chunk), "last": np.array(self.last),
            "note": notes})

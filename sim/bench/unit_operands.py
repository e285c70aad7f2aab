"""Operand chunks as the converters hand them to Q×K and Prob×V, for their benches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.lib import data

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.harness.payload import Elements, pack
from spatten_hw.stream.read_layouts import operand_chunk

#: Longest vector from memory.
LONGEST_STREAMED = 200


def operands(c: SpAttenConfig, rng: np.random.Generator, *shape: int) -> np.ndarray:
    top = 1 << (c.operand_bits - 1)
    return rng.integers(-top, top, shape)


def operand_chunks(c: SpAttenConfig, layout: data.StructLayout, rows: np.ndarray, **note: np.ndarray | int
                   ) -> np.ndarray:
    """Packed `operand_chunk`s of `rows` [n, D]; fields of the note are integers, or one per row."""
    chunks = rows.shape[1] // c.chunk
    number = np.tile(np.arange(chunks), len(rows))
    bits = rows.reshape(-1, c.chunk) & ((1 << c.operand_bits) - 1)
    columns: dict[str, Any] = {name: np.repeat(np.broadcast_to(value, len(rows)), chunks)
                               for name, value in note.items() if data.Layout.cast(layout)[name].width}
    return pack(operand_chunk(c, layout), {
        "data": Elements(bits, c.operand_bits), "chunk": number, "last": (number == chunks - 1).astype(int),
        "note": columns})


def joined(parts: Sequence[np.ndarray]) -> np.ndarray | list[int]:
    return np.concatenate(parts) if len(parts) else []

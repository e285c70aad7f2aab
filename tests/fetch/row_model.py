"""Rows as they are packed, bit by bit: what a converter must make of a row's beats, and in how many steps."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig

PLANES = {4: (4,), 6: (4, 2), 8: (8,), 10: (8, 2), 12: (8, 4), 14: (8, 4, 2), 16: (8, 4, 4)}


def beats_of(c: SpAttenConfig, width: int, dim: int) -> int:
    return -(-dim * width // c.axi_data_bits)


def starts(c: SpAttenConfig, width: int, dim: int) -> list[int]:
    """First bit of every plane of a row, from the top one down. Of 6 bits the pairs come first, and the nibbles begin
    on a multiple of their piece, or of a beat."""
    if width == 6:
        align = min(4 * c.chunk, c.axi_data_bits)
        return [-(-dim * 2 // align) * align, 0]
    return [dim * sum(PLANES[width][:n]) for n in range(len(PLANES[width]))]


def elements(c: SpAttenConfig, bits: np.ndarray, width: int, dim: int) -> np.ndarray:
    """The `dim` elements (unsigned) of a row given as bits [n]."""
    value = np.zeros(dim, dtype=np.int64)
    for at, part in zip(starts(c, width, dim), PLANES[width], strict=True):
        plane = bits[at:at + dim * part].reshape(dim, part).astype(np.int64) @ (1 << np.arange(part))
        value = (value << part) | plane
    return value


def operands(c: SpAttenConfig, bits: np.ndarray, width: int, dim: int, lsb: bool, shift: bool) -> np.ndarray:
    """On-chip operands of a row given as bits."""
    value = elements(c, bits, width, dim)
    if lsb:
        return value - 8 if shift else value
    value = value - ((value >> width - 1) << width)
    return value << 4 if shift else value


def chunk_operands(c: SpAttenConfig, chunks: np.ndarray) -> np.ndarray:
    """`data` fields of operand chunks (integers) as operands [count, N], the low W bits of each."""
    mask = (1 << c.operand_bits) - 1
    return np.array([[int(x) >> e * c.operand_bits & mask for e in range(c.chunk)] for x in chunks], dtype=np.int64)


def plan(c: SpAttenConfig, width: int, dim: int) -> int:
    """Steps of a row: per chunk the beats that no register holds, at least one step."""
    held: dict[int, range] = {}
    steps, beat = 0, c.axi_data_bits
    for chunk in range(dim // c.chunk):
        loads = set()
        for plane, (start, part) in enumerate(zip(starts(c, width, dim), PLANES[width], strict=True)):
            size = c.chunk * part
            first = (start + chunk * size) // beat
            needed = range(first, first + max(1, size // beat))
            if held.get(plane) != needed:
                loads |= set(needed)
                held[plane] = needed
        steps += max(1, len(loads))
    return steps


def cases(c: SpAttenConfig) -> list[tuple[int, bool, bool]]:
    """(width, lsb, shift) of every kind of plane that the build takes."""
    widths = [w for w in PLANES if w <= c.operand_bits]
    return ([(w, False, False) for w in widths] + [(w, False, True) for w in widths if w + 4 <= c.operand_bits]
            + [(4, True, False), (4, True, True)])

"""Shared by the fetch tests: tiny configurations, expected rows, packed payloads."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import LSB_WIDTH, SpAttenConfig
from spatten_hw.sim.golden.fetch import joined_operands, msb_operands, unpack_plane

TINY = SpAttenConfig(
    name="tiny", multipliers=16, min_dim=8, max_dim=16, operand_bits=12, max_tokens=64, sram_tokens=32, max_heads=4,
    max_group=2, slots=2, topk_lanes=4, channels=2, axi_data_bits=64, interleave_bytes=32, k_ports=4, v_ports=2,
    ids_per_port=4)


def pack_fields(*fields: tuple[int, int]) -> int:
    """(value, width) fields, lowest first."""
    bits = at = 0
    for value, width in fields:
        assert 0 <= value < 1 << width, (value, width)
        bits |= value << at
        at += width
    return bits


def pack_mode(width: int = 0, shift: int = 0, mid: int = 0, lsb: int = 0, hold: int = 0, join: int = 0) -> int:
    """A `row_mode`."""
    return pack_fields((width, 5), (shift, 1), (mid, 1), (lsb, 1), (hold, 1), (join, 1))


def elements(row: int, dim: int, width: int) -> list[int]:
    """The first `dim` elements of an on-chip row, two's complement."""
    out = []
    for e in range(dim):
        v = row >> (e * width) & ((1 << width) - 1)
        out.append(v - (1 << width) if v >> (width - 1) else v)
    return out


def msb_row(memory: bytes, addr: int, dim: int, bits: int, lsb: int = 0, mid: bool = False) -> list[int]:
    """Operands of the MSB-plane row at `addr`."""
    return msb_operands(unpack_plane(memory[addr:addr + dim * bits // 8], dim, bits, True), lsb, mid).tolist()


def lsb_row(memory: bytes, addr: int, dim: int) -> list[int]:
    """Unsigned LSBs of the LSB-plane row at `addr`."""
    return unpack_plane(memory[addr:addr + dim * LSB_WIDTH // 8], dim, LSB_WIDTH, False).tolist()


def both_rows(memory: bytes, msb_addr: int, lsb_addr: int, dim: int, bits: int) -> list[int]:
    """Operands of the rows of both planes."""
    msb = np.array(msb_row(memory, msb_addr, dim, bits))
    return joined_operands(msb, lsb_row(memory, lsb_addr, dim)).tolist()

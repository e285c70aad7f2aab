"""What the fetcher reads and what it makes of it: beats on the bus, and rows at on-chip width."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.config import LSB_WIDTH, SpAttenConfig


def row_beats(addr: ArrayLike, nbytes: ArrayLike, config: SpAttenConfig) -> np.ndarray:
    """Beats read for a row of `nbytes` ≥ 1 bytes at logical byte address `addr`, elementwise.

    Bursts are cut at interleave granules, which are multiples of a beat: cutting adds no beat.
    """
    a = np.asarray(addr, dtype=np.int64)
    last = a + np.asarray(nbytes, dtype=np.int64) - 1
    return last // config.beat_bytes - a // config.beat_bytes + 1


def row_bursts(addr: ArrayLike, nbytes: ArrayLike, config: SpAttenConfig) -> np.ndarray:
    """Bursts read for such a row: the interleave granules it touches."""
    a = np.asarray(addr, dtype=np.int64)
    last = a + np.asarray(nbytes, dtype=np.int64) - 1
    return last // config.interleave_bytes - a // config.interleave_bytes + 1


def row_addresses(base: int, head: int, head_stride: int, ids: ArrayLike, token_stride: int,
                  config: SpAttenConfig) -> np.ndarray:
    """Logical byte address of every id's row (modulo the address width, like the hardware)."""
    at = np.asarray(ids, dtype=np.int64) * token_stride + base + head * head_stride
    return at & ((1 << config.addr_bits) - 1)


def plane_beats(base: int, head: int, head_stride: int, ids: ArrayLike, token_stride: int, dim: int, bits: int,
                config: SpAttenConfig) -> int:
    """Beats read for the rows of `ids` of one head of one plane of `bits`-bit elements."""
    addr = row_addresses(base, head, head_stride, ids, token_stride, config)
    return int(row_beats(addr, dim * bits // 8, config).sum())


def unpack_plane(raw: bytes, dim: int, bits: int, signed: bool) -> np.ndarray:
    """`dim` elements of `bits` bits, packed little endian from bit 0 of `raw`."""
    flat = np.unpackbits(np.frombuffer(raw, dtype=np.uint8), bitorder="little")[:dim * bits]
    value = flat.reshape(dim, bits).astype(np.int64) @ (np.int64(1) << np.arange(bits, dtype=np.int64))
    if signed:
        value = np.where(value >> (bits - 1), value - (1 << bits), value)
    return value


def msb_operands(msb: ArrayLike, lsb_bits: int, midpoint: bool) -> np.ndarray:
    """On-chip value of operands read from the MSB plane alone; `midpoint`: V's half MSB step."""
    step = 1 << (lsb_bits - 1) if midpoint and lsb_bits else 0
    return (np.asarray(msb, dtype=np.int64) << lsb_bits) + step


def joined_operands(msb: ArrayLike, lsb: ArrayLike) -> np.ndarray:
    """On-chip value of operands read from both planes."""
    return (np.asarray(msb, dtype=np.int64) << LSB_WIDTH) + np.asarray(lsb, dtype=np.int64)

"""Where bytes live: packed operand rows, planes, allocation, and logical → channel addresses.

A *plane* holds one row per (head, token): D elements of some bits, tightly packed, element 0 in the lowest
bits, little endian. Addresses of planes are *logical*; `interleave_bytes` consecutive bytes stay on a channel
before another takes over (`spatten_hw/bus/interleave.py`), which makes any logical
range one contiguous local range per channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config import INTERLEAVE_DIGITS, OUT_BITS, SpAttenConfig
from ..errors import UserError

PAGE_BYTES = 4096
WORD_BYTES = 8


def row_bytes(dim: int, bits: int) -> int:
    """Bytes of one packed row (D is a multiple of 4 and every width is even, so rows fill whole bytes)."""
    return -(-dim * bits // 8)


def pack_rows(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers [..., D] → uint8 [..., row_bytes]; the low `bits` bits of each are stored."""
    v = np.asarray(values, dtype=np.int64)
    planes = ((v[..., None] >> np.arange(bits)) & 1).astype(np.uint8)
    return np.packbits(planes.reshape(*v.shape[:-1], v.shape[-1] * bits), axis=-1, bitorder="little")


def unpack_rows(rows: np.ndarray, dim: int, bits: int, signed: bool = True) -> np.ndarray:
    """uint8 [..., row_bytes] → int64 [..., D]: the inverse of `pack_rows`."""
    flat = np.unpackbits(np.asarray(rows, dtype=np.uint8), axis=-1, bitorder="little")[..., :dim * bits]
    planes = flat.reshape(*flat.shape[:-1], dim, bits).astype(np.int64)
    v = planes @ (np.int64(1) << np.arange(bits, dtype=np.int64))
    return v - ((v >> (bits - 1)) << bits) if signed else v


@dataclass(frozen=True)
class Plane:
    """Rows of `nbytes` at base + head·head_stride + token·token_stride (bytes)."""

    base: int
    head_stride: int
    token_stride: int
    nbytes: int

    def address(self, head: int, tokens: np.ndarray) -> np.ndarray:
        """Logical byte addresses of the rows of `tokens` of `head`."""
        return self.base + head * self.head_stride + np.asarray(tokens, dtype=np.int64) * self.token_stride

    def image(self, rows: np.ndarray) -> np.ndarray:
        """The bytes of the plane from `base` on: packed rows uint8 [heads, tokens, nbytes] at their strides."""
        pad = [(0, 0)] * (rows.ndim - 1) + [(0, self.token_stride - self.nbytes)]
        return np.pad(rows, pad).reshape(-1)


class Arena:
    """Hands out logical addresses, upwards from `base`; every block starts on a page and on a
    whole round of the channels."""

    def __init__(self, config: SpAttenConfig, base: int = 0):
        self.config = config
        self.align = max(PAGE_BYTES, config.interleave_bytes * config.channels)
        self.limit = 1 << config.addr_bits
        self.next = -(-base // self.align) * self.align

    def alloc(self, nbytes: int) -> int:
        """Address of a fresh block of `nbytes` bytes (rounded up to the alignment)."""
        start = self.next
        end = start + max(1, -(-nbytes // self.align)) * self.align
        if end > self.limit:
            raise UserError(f"the data need {end} bytes of memory, addr_bits = {self.config.addr_bits} reach "
                            f"only {self.limit}: raise axi_addr_bits or give fewer tokens or layers")
        self.next = end
        return start

    def plane(self, heads: int, tokens: int, nbytes: int, stride: int | None = None) -> Plane:
        """A fresh plane. `stride`: bytes from token to token, by default whole beats: a row that begins in the middle
        of one may need a beat or a burst more, and rows are fetched one by one."""
        stride = -(-nbytes // self.config.beat_bytes) * self.config.beat_bytes if stride is None else stride
        return Plane(self.alloc(heads * tokens * stride), tokens * stride, stride, nbytes)

    def out_plane(self, heads: int, tokens: int, dim: int) -> Plane:
        """A fresh output plane: rows and strides are whole beats."""
        beat = self.config.beat_bytes
        nbytes = -(-dim * OUT_BITS // 8 // beat) * beat
        return self.plane(heads, tokens, nbytes)


def channel_of(addr: np.ndarray | int, config: SpAttenConfig) -> tuple[np.ndarray, np.ndarray]:
    """(channel, local byte address) of logical byte addresses."""
    a = np.asarray(addr, dtype=np.int64)
    granule, offset = a // config.interleave_bytes, a % config.interleave_bytes
    local = granule // config.channels
    return granule % config.channels ^ _turn(local, config), local * config.interleave_bytes + offset


def logical_of(channel: np.ndarray | int, local: np.ndarray | int, config: SpAttenConfig) -> np.ndarray:
    """Logical byte address of channel-local ones: the inverse of `channel_of`."""
    loc = np.asarray(local, dtype=np.int64)
    granule, offset = loc // config.interleave_bytes, loc % config.interleave_bytes
    first = np.asarray(channel) ^ _turn(granule, config)
    return (granule * config.channels + first) * config.interleave_bytes + offset


def _turn(local: np.ndarray, config: SpAttenConfig) -> np.ndarray:
    """How the granules that lie at number `local` of every channel are turned: `bus/interleave.py` says why."""
    turn = np.zeros_like(local)
    for _ in range(INTERLEAVE_DIGITS - 1):
        turn = turn ^ local % config.channels
        local = local // config.channels
    return turn


@dataclass(frozen=True)
class Piece:
    """The part of a logical range on one channel: `index` are its places in the range, in local order."""

    channel: int
    local: int
    index: np.ndarray


def scatter(addr: int, nbytes: int, config: SpAttenConfig) -> list[Piece]:
    """The contiguous local range of every channel that holds bytes of [addr, addr + nbytes)."""
    if nbytes <= 0:
        return []
    where = np.arange(nbytes, dtype=np.int64)
    if config.channels == 1:
        return [Piece(0, addr, where)]
    channel, local = channel_of(addr + where, config)
    pieces = []
    for c in range(config.channels):
        index = where[channel == c]
        if len(index):
            pieces.append(Piece(c, int(local[index[0]]), index))
    return pieces

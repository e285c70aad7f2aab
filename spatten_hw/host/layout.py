"""Memory layout: packed operand rows, planes, allocation, and logical → channel addresses.

A *plane* holds one row per (head, token): D elements of some bits, tightly packed, element 0 in the lowest
bits, little endian. Addresses of planes are *logical*; `interleave_bytes` consecutive bytes lie on one channel
(`spatten_hw/bus/interleave.py`). Any logical range is one contiguous local range per channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
    """Rows of `nbytes` at base + head·head_stride + token·token_stride (bytes).

    `pair`: the rows of heads 2j and 2j + 1 of a token lie side by side, at base + j·head_stride + token·token_stride,
    the second `nbytes` behind the first. A last head without a partner has padding beside it.
    """

    base: int
    head_stride: int
    token_stride: int
    nbytes: int
    pair: bool = False

    def address(self, head: int, tokens: np.ndarray) -> np.ndarray:
        """Logical byte addresses of the rows of `tokens` of `head`."""
        first = head // 2 * self.head_stride + head % 2 * self.nbytes if self.pair else head * self.head_stride
        return self.base + first + np.asarray(tokens, dtype=np.int64) * self.token_stride

    def size(self, heads: int) -> int:
        """Bytes of the plane of `heads` heads."""
        return (-(-heads // 2) if self.pair else heads) * self.head_stride

    def image(self, rows: np.ndarray) -> np.ndarray:
        """The bytes of the plane from `base` on: packed rows uint8 [heads, tokens, nbytes] at their strides."""
        if self.pair:
            heads, tokens, nbytes = rows.shape
            even = np.pad(rows, [(0, heads % 2), (0, 0), (0, 0)]).reshape(-1, 2, tokens, nbytes)
            rows = even.swapaxes(1, 2).reshape(-1, tokens, 2 * nbytes)
        pad = [(0, 0)] * (rows.ndim - 1) + [(0, self.token_stride - rows.shape[-1])]
        return np.pad(rows, pad).reshape(-1)


    def part(self, first: int, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """(address, bytes) of packed rows uint8 [heads, n, nbytes] of the tokens first … first + n − 1: a piece per
        head, or per pair of heads, that leaves the rows of all other tokens alone."""
        heads = 2 if self.pair else 1
        for i in range(0, len(rows), heads):
            address = self.base + i // heads * self.head_stride + first * self.token_stride
            yield address, self.image(rows[i:i + heads])


def pairs_save(config: SpAttenConfig, heads: int, dim: int, bits: int) -> bool:
    """Whether K's MSB rows of two heads take fewer beats side by side than apart, and the build can read pairs.

    For generation jobs with one query head per K/V head: other jobs read every row alone, or may not use pairs.
    """
    row, beat = row_bytes(dim, bits), config.beat_bytes
    fits = heads > 1 and config.max_group > 1 and 2 * dim <= config.max_dim
    return fits and -(-2 * row // beat) < 2 * -(-row // beat)


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

    def plane(self, heads: int, tokens: int, nbytes: int, stride: int | None = None, pair: bool = False) -> Plane:
        """A fresh plane. `stride`: bytes from token to token, by default whole beats: a row (or two rows of a `pair`)
        that begins in the middle of a beat may need one more beat or burst, as tokens are fetched one by one."""
        if stride is None:
            beat = self.config.beat_bytes
            stride = -(-nbytes * (1 + pair) // beat) * beat
        plane = Plane(0, tokens * stride, stride, nbytes, pair)
        return replace(plane, base=self.alloc(plane.size(heads)))

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
    """The mask that permutes the channels of granule `local` of every channel: `bus/interleave.py` says why."""
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

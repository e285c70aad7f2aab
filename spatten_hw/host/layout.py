"""Memory layout: packed operand rows, planes over the channels, allocation (`docs/architecture.md`, "Memory layout").

Memory is one space of bytes per channel. A *plane* holds one row per (head, token): D elements of some bits, whole in
channel (token + head) mod C; it has the same base and strides on all channels. Descriptors, survivors and importance
are words in one channel; their address has the channel's number above the local address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..config import OUT_BITS, PAGE_BYTES, SpAttenConfig
from ..errors import UserError

WORD_BYTES = 8
#: (channel, local byte address, bytes uint8) to put into memory.
Write = tuple[int, int, np.ndarray]
#: Bytes (uint8) of memory: channel, local address, how many.
Fetch = Callable[[int, int, int], np.ndarray]

#: Rows are stored plane of bits by plane of bits, each of a width that divides a byte, the most significant first.
BIT_PLANES: dict[int, tuple[int, ...]] = {
    4: (4,), 6: (4, 2), 8: (8,), 10: (8, 2), 12: (8, 4), 14: (8, 4, 2), 16: (8, 4, 4)}


def row_bytes(dim: int, bits: int) -> int:
    """Bytes of one packed row (D is a multiple of 4 and every width is even, so rows fill whole bytes)."""
    return -(-dim * bits // 8)


def row_beats(dim: int, bits: int, config: SpAttenConfig) -> int:
    """Beats of one row: it begins on a beat."""
    return -(-row_bytes(dim, bits) // config.beat_bytes)


def nibble_align(config: SpAttenConfig) -> int:
    """Bytes of which the nibbles of 6-bit rows begin on a multiple: those of a chunk, but no more than a beat."""
    return min(max(1, config.chunk // 2), config.beat_bytes)


def _plane_starts(dim: int, bits: int, align: int) -> list[tuple[int, int, int]]:
    """(first byte, width, lowest bit of an element) of every plane of a row, in memory order.

    The planes follow one another from the top; but of 6 bits the pairs come first, and the nibbles on a multiple of
    `align` (`nibble_align`): so a beat that begins both planes has what the first chunk needs of them.
    """
    low, planes = bits, []
    for width in BIT_PLANES[bits]:
        low -= width
        planes.append((width, low))
    if bits == 6:
        return [(0, *planes[1]), (-(-dim * 2 // 8 // align) * align, *planes[0])]
    starts = np.cumsum([0, *(dim * width // 8 for width, _ in planes)])
    return [(int(at), *plane) for at, plane in zip(starts, planes, strict=False)]


def packed_bytes(dim: int, bits: int, align: int) -> int:
    """Bytes of one packed row, with what lies between its planes; it has as many beats as without."""
    first, width, _ = _plane_starts(dim, bits, align)[-1]
    return first + dim * width // 8


def pack_rows(values: np.ndarray, bits: int, align: int) -> np.ndarray:
    """Integers [..., D] → uint8 [..., packed_bytes]; the low `bits` bits of each are stored, in `BIT_PLANES`; `align`:
    `nibble_align` of the build."""
    v = np.asarray(values, dtype=np.int64)
    dim = v.shape[-1]
    rows = np.zeros((*v.shape[:-1], packed_bytes(dim, bits, align)), dtype=np.uint8)
    for first, width, low in _plane_starts(dim, bits, align):
        fields = (v >> low & ((1 << width) - 1)).astype(np.uint8)
        per_byte = 8 // width
        grouped = fields.reshape(*v.shape[:-1], dim // per_byte, per_byte)
        rows[..., first:first + dim // per_byte] = np.bitwise_or.reduce(
            grouped << (width * np.arange(per_byte, dtype=np.uint8)), axis=-1)
    return rows


def unpack_rows(rows: np.ndarray, dim: int, bits: int, align: int, signed: bool = True) -> np.ndarray:
    """uint8 [..., ≥ packed_bytes] → int64 [..., D]: the inverse of `pack_rows`."""
    raw = np.asarray(rows, dtype=np.uint8)
    v = np.zeros((*raw.shape[:-1], dim), dtype=np.int64)
    for first, width, low in _plane_starts(dim, bits, align):
        per_byte = 8 // width
        part = raw[..., first:first + dim // per_byte]
        fields = part[..., None] >> (width * np.arange(per_byte, dtype=np.uint8)) & np.uint8((1 << width) - 1)
        v |= fields.reshape(v.shape).astype(np.int64) << low
    return v - ((v >> (bits - 1)) << bits) if signed else v


def pack_outputs(values: np.ndarray) -> np.ndarray:
    """Outputs [..., D] as they lie in memory: 16 bits each, little endian, not split into planes of bits."""
    return np.ascontiguousarray(values, dtype="<i2").view(np.uint8)


def unpack_outputs(rows: np.ndarray, dim: int) -> np.ndarray:
    """The inverse; `rows` may be longer."""
    raw = np.ascontiguousarray(np.asarray(rows, dtype=np.uint8)[..., :dim * OUT_BITS // 8])
    return raw.view("<i2").astype(np.int64)


@dataclass(frozen=True)
class Plane:
    """Rows of `nbytes`: that of (head, token) lies in channel (token + head) mod `channels`, at local address
    base + head·head_stride + (token div channels)·token_stride. A head's rows end before the next head's begin.

    `steps`: rows of single queries instead, one for each step of generation; each is token 0 of the job of its step,
    whose plane is `step`. That of (head, step) lies in channel head mod `channels`, at base + head·head_stride +
    step·token_stride. `align`: `nibble_align` of the build.
    """

    base: int
    head_stride: int
    token_stride: int
    nbytes: int
    channels: int = 1
    steps: bool = False
    align: int = 1

    def channel(self, head: np.ndarray | int, tokens: np.ndarray | int) -> np.ndarray:
        """Channels of the rows of `tokens` of `head`."""
        return (np.asarray(head) + (0 if self.steps else np.asarray(tokens))) % self.channels

    def address(self, head: np.ndarray | int, tokens: np.ndarray | int) -> np.ndarray:
        """Local byte addresses of the rows of `tokens` of `head`."""
        place = np.asarray(tokens, dtype=np.int64) // (1 if self.steps else self.channels)
        return self.base + np.asarray(head, dtype=np.int64) * self.head_stride + place * self.token_stride

    def pack(self, values: np.ndarray, bits: int) -> np.ndarray:
        """Integers [..., D] of `bits` bits as rows of this plane, uint8 [..., nbytes]."""
        return pack_rows(values, bits, self.align)

    def step(self, number: int) -> Plane:
        """The plane of a generation job, whose only query is that of step `number`."""
        assert self.steps, "the rows of this plane are tokens of one job"
        return replace(self, base=self.base + number * self.token_stride, steps=False)

    def size(self, heads: int) -> int:
        """Bytes of the plane of `heads` heads on every channel."""
        return heads * self.head_stride

    def images(self, rows: np.ndarray) -> Iterator[Write]:
        """The whole plane, from packed rows uint8 [heads, tokens, nbytes]; what lies between rows is cleared."""
        heads, tokens, nbytes = rows.shape
        places = -(-tokens // self.channels)
        if self.steps:
            yield from self.part(0, rows)
            return
        grid = np.zeros((heads, places * self.channels, self.token_stride), dtype=np.uint8)
        grid[:, :tokens, :nbytes] = rows
        grid = grid.reshape(heads, places, self.channels, self.token_stride)
        for channel in range(self.channels):
            strips = grid[np.arange(heads), :, self._lanes(channel, heads)].reshape(heads, -1)
            yield channel, self.base, np.pad(strips, ((0, 0), (0, self.head_stride - strips.shape[1]))).reshape(-1)

    def part(self, first: int, rows: np.ndarray) -> Iterator[Write]:
        """Packed rows uint8 [heads, n, nbytes] of the tokens first … first + n − 1: pieces that leave the rows of all
        other tokens alone."""
        heads, count, nbytes = rows.shape
        apart = 1 if self.steps else self.channels
        for head in range(heads):
            for begin in range(min(apart, count)):
                piece = rows[head, begin::apart]
                image = np.zeros((len(piece), self.token_stride), dtype=np.uint8)
                image[:, :nbytes] = piece
                token = first + begin
                end = (len(piece) - 1) * self.token_stride + nbytes
                yield int(self.channel(head, token)), int(self.address(head, token)), image.reshape(-1)[:end]

    def fill(self, heads: int, byte: int) -> Iterator[Write]:
        """The whole plane full of one byte."""
        image = np.full(self.size(heads), byte, dtype=np.uint8)
        for channel in range(self.channels):
            yield channel, self.base, image

    def rows(self, fetch: Fetch, heads: int, tokens: int) -> np.ndarray:
        """Rows uint8 [heads, tokens, nbytes] out of memory."""
        places = -(-tokens // self.channels)
        if self.steps or tokens == 1:
            return np.array([[fetch(int(self.channel(h, t)), int(self.address(h, t)), self.nbytes)
                              for t in range(tokens)] for h in range(heads)], dtype=np.uint8)
        grid = np.zeros((heads, places, self.channels, self.nbytes), dtype=np.uint8)
        size = (heads - 1) * self.head_stride + places * self.token_stride
        for channel in range(self.channels):
            image = np.pad(fetch(channel, self.base, size), (0, self.size(heads) - size)).reshape(heads, -1)
            strips = image[:, :places * self.token_stride].reshape(heads, places, self.token_stride)
            grid[np.arange(heads), :, self._lanes(channel, heads)] = strips[..., :self.nbytes]
        return grid.reshape(heads, -1, self.nbytes)[:, :tokens]

    def _lanes(self, channel: int, heads: int) -> np.ndarray:
        """Which tokens, modulo the channels, of every head lie in `channel`."""
        return (channel - np.arange(heads)) % self.channels


class Arena:
    """Hands out local addresses, the same on all channels, upwards from `base`; every block starts on a page."""

    def __init__(self, config: SpAttenConfig, base: int = 0):
        self.config = config
        self.align = PAGE_BYTES
        self.limit = 1 << config.axi_addr_bits
        self.next = -(-base // self.align) * self.align

    def alloc(self, nbytes: int) -> int:
        """Address of a fresh block of `nbytes` bytes (rounded up to the alignment) on every channel. As the address of
        words it is one on channel 0."""
        start = self.next
        end = start + max(1, -(-nbytes // self.align)) * self.align
        if end > self.limit:
            raise UserError(f"the data need {end} bytes of memory per channel, axi_addr_bits = "
                            f"{self.config.axi_addr_bits} reach only {self.limit}: raise axi_addr_bits or give fewer "
                            "tokens or layers")
        self.next = end
        return start

    def plane(self, heads: int, tokens: int, nbytes: int, *, steps: bool = False) -> Plane:
        """A fresh plane; rows follow one another beat by beat. `steps`: for single queries."""
        stride = self.whole_beats(nbytes)
        places = tokens if steps else -(-tokens // self.config.channels)
        plane = Plane(0, places * stride, stride, nbytes, self.config.channels, steps, nibble_align(self.config))
        return replace(plane, base=self.alloc(plane.size(heads)))

    def whole_beats(self, nbytes: int) -> int:
        """`nbytes`, rounded up to a multiple of a beat."""
        return -(-nbytes // self.config.beat_bytes) * self.config.beat_bytes

    def out_plane(self, heads: int, tokens: int, dim: int) -> Plane:
        """A fresh output plane: rows are written in whole beats."""
        return self.plane(heads, tokens, self.whole_beats(row_bytes(dim, OUT_BITS)))


def place_of_words(addr: int, config: SpAttenConfig) -> tuple[int, int]:
    """(channel, local byte address) of an address of words."""
    return addr >> config.axi_addr_bits, addr & ((1 << config.axi_addr_bits) - 1)


def survivor_words(tokens: int, heads: int) -> int:
    """64-bit words of saved survivors: their numbers, then a bit for every token, then one for every head."""
    return 1 + -(-tokens // 64) + -(-heads // 64)


def pack_survivors(tokens: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """The words (uint64) of survivors, bool [tokens] and [heads]: bit i of word w of a bitmap is number 64·w + i."""
    words = [np.array([int(tokens.sum()) | int(heads.sum()) << 32], dtype=np.uint64)]
    for alive in (tokens, heads):
        bits = np.pad(np.asarray(alive, dtype=bool), (0, -len(alive) % 64))
        words.append(np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64))
    return np.concatenate(words)


def unpack_survivors(words: np.ndarray, tokens: int, heads: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `tokens` tokens and `heads` heads are alive: the inverse of `pack_survivors`."""
    w = np.asarray(words, dtype="<u8")
    middle = 1 + -(-tokens // 64)
    alive_tokens = np.unpackbits(w[1:middle].view(np.uint8), bitorder="little")
    alive_heads = np.unpackbits(w[middle:survivor_words(tokens, heads)].view(np.uint8), bitorder="little")
    return alive_tokens[:tokens].astype(bool), alive_heads[:heads].astype(bool)

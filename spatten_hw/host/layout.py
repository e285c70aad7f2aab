"""Memory layout: planes over the channels, allocation (`docs/architecture.md`, "Memory layout").

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
from .rows import nibble_align, pack_rows, row_bytes

#: (channel, local byte address, bytes uint8) to put into memory.
Write = tuple[int, int, np.ndarray]
#: Bytes (uint8) of memory: channel, local address, how many.
Fetch = Callable[[int, int, int], np.ndarray]


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

    def tokens_from(self, first: int) -> Plane:
        """The plane whose token 0 is token `first` of this one, a multiple of the channels."""
        assert not self.steps and first % self.channels == 0, "a token 0 lies in the channel of its head"
        return replace(self, base=self.base + first // self.channels * self.token_stride)

    def shortened(self, tokens: int) -> Plane:
        """A plane of fewer tokens in the same place."""
        assert not self.steps
        return replace(self, head_stride=-(-tokens // self.channels) * self.token_stride)

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

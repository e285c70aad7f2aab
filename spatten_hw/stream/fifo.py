"""A FIFO with stream ports around Amaranth's own buffered synchronous FIFO (block-RAM shaped)."""

from __future__ import annotations

from amaranth import Module, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract import contract
from .wide_buffer import WideBuffer

#: Deepest FIFO with an asynchronous read (FPGAs: look-up-table memory). Its payload comes out one cycle earlier than
#: through the output register of a block memory.
MAX_LUT_DEPTH = 48


def fifo_latency(depth: int) -> int:
    """Cycles from a payload's arrival in an empty `StreamFifo` to its way out."""
    return 1 if depth <= MAX_LUT_DEPTH else 2


class StreamFifo(wiring.Component):
    """Stores up to `depth` payloads of `shape`, first in, first out.

    Latency from empty 1 cycle for depth ≤ `MAX_LUT_DEPTH`, else 2; 1 payload per cycle in and out (depth 1: in two).
    Cuts every combinational path between its two sides. `level`: payloads stored, 0 … depth. `never_full`: the user
    promises that there is room for every payload that arrives, and one free place more. `wide`: low bits of a payload
    that go into block memory even at a small depth, without a difference in cycles (`WideBuffer`).
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: ShapeLike, depth: int, *, never_full: bool = False, wide: int = 0):
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth}")
        self.shape = shape
        self.never_full = never_full
        self.wide = wide
        self.depth = depth
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "level": Out(depth.bit_length()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        width = len(Value.cast(self.i.payload))
        if self.wide and 1 < self.depth <= MAX_LUT_DEPTH:
            buffer = WideBuffer(width, self.depth, self.wide)
        else:
            kind = fifo.SyncFIFO if self.depth <= MAX_LUT_DEPTH else fifo.SyncFIFOBuffered
            buffer = kind(width=width, depth=self.depth)
        m.submodules.buffer = buffer
        m.d.comb += [
            buffer.w_data.eq(self.i.payload),
            buffer.w_en.eq(self.i.valid),
            self.i.ready.eq(buffer.w_rdy),
            self.o.payload.eq(buffer.r_data),
            self.o.valid.eq(buffer.r_rdy),
            buffer.r_en.eq(self.o.ready),
            self.level.eq(buffer.level),
        ]
        contract(m, self.level <= self.depth - self.never_full, "no more payloads inside than there is room for")
        if self.never_full:
            contract(m, self.i.ready, "a queue that is never full has room for what comes", when=self.i.valid)
        return m


def never_full(shape: ShapeLike, most: int, wide: int = 0) -> StreamFifo:
    """A FIFO that always accepts as long as at most `most` payloads are inside (credits or slots ensure it).

    Its depth is `most` + 1, because the output register of a large FIFO only fills one cycle after a write.
    """
    return StreamFifo(shape, most + 1, never_full=True, wide=wide)


def never_full_latency(most: int) -> int:
    """Cycles from a payload's arrival in an empty `never_full(…, most)` to its way out."""
    return fifo_latency(most + 1)

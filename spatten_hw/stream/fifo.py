"""A FIFO with stream ports around Amaranth's own buffered synchronous FIFO (block-RAM shaped)."""

from __future__ import annotations

from amaranth import Module, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out


class StreamFifo(wiring.Component):
    """Stores up to `depth` payloads of `shape`, first in, first out.

    Latency at most 2 cycles from empty; 1 payload per cycle in and out, sustained, for depth ≥ 3 (half
    of that below). Cuts every combinational path between its two sides. `level`: payloads stored, 0 … depth.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: ShapeLike, depth: int):
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth}")
        self.shape = shape
        self.depth = depth
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "level": Out(depth.bit_length()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        width = len(Value.cast(self.i.payload))
        m.submodules.buffer = buffer = fifo.SyncFIFOBuffered(width=width, depth=self.depth)
        m.d.comb += [
            buffer.w_data.eq(self.i.payload),
            buffer.w_en.eq(self.i.valid),
            self.i.ready.eq(buffer.w_rdy),
            self.o.payload.eq(buffer.r_data),
            self.o.valid.eq(buffer.r_rdy),
            buffer.r_en.eq(self.o.ready),
            self.level.eq(buffer.level),
        ]
        return m

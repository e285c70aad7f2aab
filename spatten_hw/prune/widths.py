"""Dense rows of few lanes to dense rows of many, and back: between L (or 1) and the engine's P lanes."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2


def element_row(lanes: int, width: int) -> data.StructLayout:
    """`lanes` elements of `width` bits, the first `count` live; every row full but a vector's `last`."""
    return data.StructLayout({
        "elements": data.ArrayLayout(unsigned(width), lanes),
        "count": unsigned(lanes.bit_length()), "last": 1,
    })


class Widen(wiring.Component):
    """Rows of `narrow` lanes in, rows of `wide` lanes out (a power of two times as many).

    Takes a row per cycle while `o` is taken; the wide row leaves the cycle after its last narrow row.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, narrow: int, wide: int, width: int):
        self.narrow, self.wide, self.width = narrow, wide, width
        super().__init__({
            "i": In(stream.Signature(element_row(narrow, width))),
            "o": Out(stream.Signature(element_row(wide, width))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        parts = self.wide // self.narrow
        full = Signal()
        part = Signal(max(1, clog2(parts)))
        out = self.o.p
        ends = Signal()
        m.d.comb += [
            self.o.valid.eq(full), self.i.ready.eq(~full | self.o.ready),
            ends.eq(self.i.p.last | (part == parts - 1)),
        ]
        with m.If(self.o.ready):
            m.d.sync += full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            # The output row is also the buffer: it is not valid while it fills.
            for k in range(parts):
                with m.If(part == k):
                    m.d.sync += [out.elements[k * self.narrow + lane].eq(self.i.p.elements[lane])
                                 for lane in range(self.narrow)]
            m.d.sync += [
                full.eq(ends), part.eq(Mux(ends, 0, part + 1)), out.last.eq(self.i.p.last),
                out.count.eq(Mux(part == 0, 0, out.count) + self.i.p.count),
            ]
        return m


class Narrow(wiring.Component):
    """Rows of `wide` lanes in, rows of `narrow` lanes out, one per cycle without gaps."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, wide: int, narrow: int, width: int):
        self.narrow, self.wide, self.width = narrow, wide, width
        super().__init__({
            "i": In(stream.Signature(element_row(wide, width))),
            "o": Out(stream.Signature(element_row(narrow, width))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        left = Signal(self.wide.bit_length())
        last = Signal()
        ending = Signal()
        held = Signal(self.wide * self.width)
        m.d.comb += [
            ending.eq(left <= self.narrow),
            self.o.valid.eq(left != 0),
            self.o.p.elements.eq(held[:self.narrow * self.width]),
            self.o.p.count.eq(Mux(ending, left[:self.narrow.bit_length()], self.narrow)),
            self.o.p.last.eq(last & ending),
            self.i.ready.eq((left == 0) | (ending & self.o.ready)),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [left.eq(Mux(ending, 0, left - self.narrow)),
                         held.eq(Cat(held[self.narrow * self.width:]))]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [left.eq(self.i.p.count), last.eq(self.i.p.last), held.eq(self.i.p.elements)]
        return m

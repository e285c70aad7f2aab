"""Joins partly filled rows into full ones."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract import contract
from ..primitives.widths import narrow
from ..stream.skid import SkidBuffer


def packed_row(width: int, lanes: int, tag: int) -> data.StructLayout:
    """Elements in lanes 0 … count − 1; `last` ends a vector; `tag` belongs to the vector."""
    return data.StructLayout({
        "elements": data.ArrayLayout(unsigned(width), lanes),
        "count": unsigned(lanes.bit_length()), "last": 1, "tag": unsigned(tag),
    })


class Packer(wiring.Component):
    """Rows of 0 … `lanes` elements in, the same elements in rows of exactly `lanes` out, except the last.

    Ports `i`, `o`: streams of `packed_row`. A vector without any element gives one empty `last` row. One
    row per cycle in, without a gap between vectors: a row waits until an element of a later row or `last`
    tells whether it is the final one. Rows that fill up, and a final row, leave `LATENCY` = 1 cycle after the
    row that completes them. If that row holds more than fits, its rest is the vector's final row, one cycle
    later, while the next vector's first row enters (a vector of one row then waits a cycle, too). `o` and
    `i.ready` come from registers.
    """

    LATENCY = 1

    i: stream.Interface
    o: stream.Interface

    def __init__(self, width: int, lanes: int, tag: int = 0):
        self.width = width
        self.lanes = lanes
        self.tag = tag
        row = packed_row(width, lanes, tag)
        super().__init__({"i": In(stream.Signature(row)), "o": Out(stream.Signature(row))})

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, row = self.lanes, self.i.p
        m.submodules.out = out = SkidBuffer(self.o.p.shape())
        held = Signal(data.ArrayLayout(unsigned(self.width), lanes), reset_less=True)
        held_tag = Signal(self.tag, reset_less=True)
        fill = Signal(lanes.bit_length())
        complete = Signal()  # `held` is a vector's final row
        base = Signal(lanes.bit_length())  # elements in front of the arriving ones: 0 if `complete`, else `fill`
        total = Signal((2 * lanes).bit_length())
        over = Signal()
        direct = Signal()  # the arriving row ends its vector and leaves nothing behind
        room = Signal()
        accept = Signal()
        m.d.comb += [
            room.eq(out.i.ready),
            self.i.ready.eq(room),
            accept.eq(self.i.valid & room),
            total.eq(base + row.count),
            over.eq(accept & (total > lanes)),
            direct.eq(accept & row.last & ~over & ~complete),
        ]

        # The arriving elements moved up by `base`, one power of two at a time.
        window: list[Value] = [row.elements[j] for j in range(lanes)] + [row.elements[0]] * lanes
        for b in range(len(base)):
            step = 1 << b
            moved = []
            for j in range(2 * lanes):
                if j < step:
                    moved.append(window[j])
                    continue
                up = Signal(self.width, name=f"up_{step}_{j}")
                m.d.comb += up.eq(Mux(base[b], window[j - step], window[j]))
                moved.append(up)
            window = moved

        m.d.comb += [
            out.i.valid.eq(complete | over | direct),
            out.i.p.count.eq(narrow(Mux(complete, fill, Mux(over, lanes, total)), len(out.i.p.count))),
            out.i.p.last.eq(complete | direct),
            out.i.p.tag.eq(Mux(complete, held_tag, row.tag)),
        ]
        with m.If(accept):
            m.d.sync += [
                fill.eq(Mux(direct, 0, narrow(Mux(over, total - lanes, total), len(fill)))),
                base.eq(Mux(row.last, 0, narrow(Mux(over, total - lanes, total), len(base)))),
                complete.eq(row.last & ~direct), held_tag.eq(row.tag),
            ]
        with m.Elif(room & complete):
            m.d.sync += [fill.eq(0), complete.eq(0)]
        for j in range(lanes):
            joined = Signal(self.width, name=f"joined_{j}")
            m.d.comb += [
                joined.eq(Mux(base > j, held[j], window[j])),
                out.i.p.elements[j].eq(Mux(complete, held[j], joined)),
            ]
            with m.If(accept):
                m.d.sync += held[j].eq(Mux(over, window[lanes + j], joined))
        wiring.connect(m, out.o, wiring.flipped(self.o))
        contract(m, row.count <= lanes, "count is at most the lanes of a row", when=self.i.valid)
        contract(m, fill <= lanes, "no more is held than a row")
        contract(m, out.i.ready, "a row that leaves finds room", when=out.i.valid & accept)
        contract(m, (out.i.p.count == lanes) | out.i.p.last, "rows are full but for the last", when=out.i.valid & room)
        return m

"""The survivor bitmap in rows of S tokens, in the order of their ids, out of the class lists."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from .rows import bitmap_row, class_row, limit_bits


class BitmapWalk(wiring.Component):
    """`start` (with the lists opened in the same cycle) sends rows 0 … `rows` − 1 of the bitmap to `bitmap`: every
    class is at the place of its list that comes next, and has a bit in the row that this index names. A row in two
    cycles, the first one two cycles later. `busy` from the cycle after `start` until the last row is taken.

    The next index of every class is in a register, so that the memory's way to the comparison, and from there to the
    next address, takes two cycles.
    """

    bitmap: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "start": In(1), "rows": In(limit_bits(c)), "busy": Out(1),
            "places": Out(class_row(c)), "indexes": In(class_row(c)), "live": In(c.slices),
            "bitmap": Out(stream.Signature(bitmap_row(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, out = self.config, self.bitmap
        row = Signal(limit_bits(c))
        running = Signal()          # `here`: the lists show the entries at `places`, behind those in `ahead`
        here = Signal()
        begun = Signal()
        ahead = Signal(class_row(c), reset_less=True)
        alive = Signal(c.slices, reset_less=True)
        bits = Signal(c.slices)
        payload = Signal(bitmap_row(c), reset_less=True)
        last = Signal()
        m.d.comb += [
            self.busy.eq(running | out.valid), last.eq(row == self.rows - 1), out.p.eq(payload),
            bits.eq(Cat(alive[b] & (ahead[b] == row) for b in range(c.slices))),
        ]
        with m.If(out.ready):
            m.d.sync += out.valid.eq(0)
        m.d.sync += here.eq(running)
        with m.If(running & here & (~begun | ~out.valid | out.ready)):
            m.d.sync += [begun.eq(1), here.eq(0)]
            with m.If(begun):
                m.d.sync += [out.valid.eq(1), payload.bits.eq(bits), payload.row.eq(row[:c.row_bits]),
                             payload.last.eq(last), row.eq(row + 1), running.eq(~last)]
            # A place behind the last of a full list is the first again: that is read with the bitmap's last row only.
            for b in range(c.slices):
                with m.If(bits[b] | ~begun):
                    m.d.sync += [ahead[b].eq(self.indexes[b]), alive[b].eq(self.live[b]),
                                 self.places[b].eq(self.places[b] + 1)]
        with m.If(self.start):
            m.d.sync += [running.eq(1), begun.eq(0), here.eq(0), row.eq(0),
                         *[self.places[b].eq(0) for b in range(c.slices)]]
        contract(m, ~self.busy, "one walk at a time", when=self.start)
        contract(m, (self.rows != 0) & (self.rows <= c.max_rows), "a walk has rows", when=self.start)
        return m

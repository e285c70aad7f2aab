"""Totals, or the sums of a layer, one after the other in the order of their ids or positions."""

from __future__ import annotations

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.widths import narrow
from .rows import class_bits, limit_bits, serial_total
from .token_totals import READ_CYCLES

#: Cycles of a row beyond one for each of its lanes.
ROW_CYCLES = READ_CYCLES + 1


class SerialTotals(wiring.Component):
    """`start` sends what lies in rows 0 … of `TokenTotals`, lane by lane, to `o`: `count` (≥ 1) of them, but no more
    than `rows` rows. Each row is read by an access (`access`, row `row`) and held, so that others may be accessed
    until the next: a row takes `ROW_CYCLES` more than its lanes.
    """

    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "start": In(1), "count": In(c.count_bits), "rows": In(limit_bits(c)), "busy": Out(1),
            "access": Out(1), "row": Out(c.row_bits),
            "totals": In(data.ArrayLayout(c.token_score_bits, c.slices)),
            "o": Out(stream.Signature(serial_total(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        held = Signal(self.totals.shape(), reset_less=True)
        row = Signal(limit_bits(c))
        lane = Signal(c.slice_bits)
        left = Signal(c.count_bits)
        wait = Signal(range(READ_CYCLES + 1), name="waited")
        row_ends = Signal()
        ends = Signal()
        m.d.comb += [
            row_ends.eq(lane == c.slices - 1), self.row.eq(row[:c.row_bits]), self.busy.eq(1),
            ends.eq((left == 1) | (row_ends & (row == self.rows - 1))),
            self.o.p.total.eq(Array([held[b] for b in range(c.slices)])[lane]),
            self.o.p.row.eq(row[:c.row_bits]), self.o.p.lane.eq(lane), self.o.p.last.eq(ends),
        ]
        with m.FSM(name="serial") as fsm:
            with m.State("IDLE"):
                m.d.comb += self.busy.eq(0)
                m.d.sync += [row.eq(0), lane.eq(0), left.eq(self.count)]
                with m.If(self.start):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += self.access.eq(1)
                m.d.sync += wait.eq(READ_CYCLES - 1)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += held.eq(self.totals)
                    m.next = "LANES"
            with m.State("LANES"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [left.eq(left - 1), lane.eq(Mux(row_ends, 0, narrow(lane + 1, len(lane))))]
                    with m.If(ends):
                        m.next = "IDLE"
                    with m.Elif(row_ends):
                        m.d.sync += row.eq(row + 1)
                        m.next = "READ"
        contract(m, fsm.ongoing("IDLE") & (self.count != 0) & (self.rows != 0), "one series at a time, not empty",
                 when=self.start)
        contract(m, class_bits(c) != 0 or lane == 0, "a single class has one lane")
        return m

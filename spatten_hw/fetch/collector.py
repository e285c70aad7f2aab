"""Gathers the rows of a group from the lane ports into one operand row."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..stream.layouts import operand_row
from .converter import lane_row
from .row_generator import group_note


class RowCollector(wiring.Component):
    """`notes` (one `group_note` per group) and `lanes` (array of `lane_row`, one per port) → `o` (`operand_row`).

    Takes a group when all its live rows are there; ports rotate as in `RowGenerator`. One group per cycle,
    latency 1. `error`: a row taken in the cycle before had an AXI error. Not cut: `o.ready` → `ready` of lanes
    and notes.
    """

    LATENCY = 1

    notes: stream.Interface
    lanes: list[stream.Interface]
    o: stream.Interface
    error: Signal

    def __init__(self, config: SpAttenConfig, ports: int):
        self.config = c = config
        self.ports = ports
        super().__init__({
            "dim_log2": In(max(1, clog2(len(c.dims)))),
            "notes": In(stream.Signature(group_note(c))),
            "lanes": In(stream.Signature(lane_row(c))).array(ports),
            "o": Out(stream.Signature(operand_row(c))), "error": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        ports = self.ports
        group = Signal(max(1, clog2(ports * c.max_dim // c.multipliers)))
        wanted = Signal(ports)      # ports with a row of this group
        there = Signal(ports)
        errors = Signal(ports)
        take = Signal()
        note = self.notes.payload
        with m.Switch(self.dim_log2):
            for d in range(len(c.dims)):
                rows = c.lanes >> d
                sets = ports // rows
                chosen = group[:clog2(sets)]
                with m.Case(d):
                    m.d.comb += wanted.eq(Cat(
                        (note.count > p % rows) & (chosen == p // rows if sets > 1 else 1) for p in range(ports)))
        m.d.comb += [
            there.eq(Cat(lane.valid for lane in self.lanes)),
            errors.eq(Cat(lane.payload.error for lane in self.lanes)),
            take.eq(self.notes.valid & ~(wanted & ~there).any() & (~self.o.valid | self.o.ready)),
            self.notes.ready.eq(take),
        ]
        m.d.comb += [lane.ready.eq(take & wanted[p]) for p, lane in enumerate(self.lanes)]
        m.d.sync += self.error.eq(take & (errors & wanted).any())
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(take):
            m.d.sync += [
                group.eq(group + 1), self.o.valid.eq(1), self.o.payload.count.eq(note.count),
                self.o.payload.last.eq(note.last), self.o.payload.fill.eq(note.fill),
                self.o.payload.half.eq(note.half),
            ]
            with m.Switch(self.dim_log2):
                for d in range(len(c.dims)):
                    with m.Case(d):
                        m.d.sync += [self.o.payload.slices[s].eq(self._slice(group, d, s)) for s in range(c.slices)]
        return m

    def _slice(self, group: Signal, d: int, s: int):
        """Slice `s` at D = min_dim << d: part of the row of port set·R + (s >> d)."""
        c = self.config
        width = c.min_dim * c.operand_bits
        rows = c.lanes >> d
        sets = self.ports // rows
        part = s & ((1 << d) - 1)
        value = Const(0, width)
        for k in range(sets):
            row = self.lanes[k * rows + (s >> d)].payload.row[part * width:(part + 1) * width]
            value = value | Mux(group[:clog2(sets)] == k if sets > 1 else 1, row, 0)
        return value

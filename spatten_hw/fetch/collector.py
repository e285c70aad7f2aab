"""Gathers the rows of a group from the lane ports into one operand row."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..control.descriptor import dim_case
from ..stream.layouts import operand_row
from ..stream.registers import local_copy
from ..stream.skid import SpareBuffer
from .aligner import lane_row, row_mode
from .converter import BitWidthConverter, conversion, decoded, row_field, second_field, selector_copies
from .row_generator import group_note


class RowCollector(wiring.Component):
    """`notes` (one `group_note` per group) and `lanes` (array of `lane_row`, one per port) → `o` (`operand_row`).

    Takes a group when all its live rows are there; ports rotate as in `RowGenerator`. One group per cycle,
    `LATENCY` = 2: gathered, converted. A group of `pair`s (only if built with `pairs`) takes two: the rows of the
    first head leave, then those of the second. `error`: a row taken in the cycle before had an AXI error. `o.ready` is
    cut. `idle`: no group inside.
    """

    LATENCY = 2

    notes: stream.Interface
    lanes: list[stream.Interface]
    o: stream.Interface
    error: Signal
    idle: Signal

    def __init__(self, config: SpAttenConfig, ports: int, pairs: bool = False):
        self.config = c = config
        self.pairs = pairs
        self.ports = ports
        super().__init__({
            "dim_log2": In(max(1, clog2(len(c.dims)))),
            "notes": In(stream.Signature(group_note(c))),
            "lanes": In(stream.Signature(lane_row(c))).array(ports),
            "o": Out(stream.Signature(operand_row(c))), "error": Out(1), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        ports = self.ports
        group = Signal(max(1, clog2(ports * c.max_dim // c.multipliers)))
        wanted = Signal(ports)      # ports with a row of this group
        there = Signal(ports)
        errors = Signal(ports)
        take = Signal()         # a group, or half of a group of pairs, is gathered
        done = Signal()         # … and nothing is left of it
        second = Signal()       # the first rows of the pairs are out
        note = self.notes.payload
        with m.Switch(self.dim_log2):
            for d in range(len(c.dims)):
                rows = c.lanes >> d
                sets = ports // rows
                chosen = group[:clog2(sets)]
                with dim_case(m, c, d):
                    m.d.comb += wanted.eq(Cat(
                        (note.count > p % rows) & (chosen == p // rows if sets > 1 else 1) for p in range(ports)))
        # For the multiplexers of rows, which are everywhere; what decides is near the port.
        row_dim = local_copy(m, self.dim_log2, "row_dim")
        gathered = Signal()           # a group waits in front of the converter
        about = Signal(group_note(c), reset_less=True)
        # Every slice has its own, in copies: they select among all of its bits.
        conversions = [Signal(conversion(c), name=f"conversion_{n}", reset_less=True, attrs={"keep": 1})
                       for n in range(c.slices * selector_copies(c))]
        raw = Signal(data.ArrayLayout(unsigned(c.min_dim * c.operand_bits), c.slices), reset_less=True)
        # Behind both registers another that catches a row: they move on by its state.
        m.submodules.catch = spare = SpareBuffer(operand_row(c))
        wiring.connect(m, spare.o, wiring.flipped(self.o))
        out, move = spare.i, spare.i.ready
        m.d.comb += [
            there.eq(Cat(lane.valid for lane in self.lanes)),
            errors.eq(Cat(lane.payload.error for lane in self.lanes)),
            take.eq(self.notes.valid & ~(wanted & ~there).any() & (~gathered | move)),
            done.eq(take & (~note.pair | second if self.pairs else 1)), self.notes.ready.eq(done),
        ]
        m.d.comb += [lane.ready.eq(done & wanted[p]) for p, lane in enumerate(self.lanes)]
        m.d.sync += self.error.eq(take & (errors & wanted).any())
        with m.If(done):
            m.d.sync += group.eq(group + 1)
        if self.pairs:
            with m.If(take):
                m.d.sync += second.eq(~done)
        with m.If(move):
            m.d.sync += gathered.eq(0)
        with m.If(take):
            m.d.sync += gathered.eq(1)
        # The rows of a group are of one kind: the first one's mode says it for all.
        kind = Signal(row_mode())
        how = Signal(conversion(c))
        m.d.comb += how.eq(decoded(c, kind))
        with m.Switch(row_dim):
            for d in range(len(c.dims)):
                with dim_case(m, c, d):
                    m.d.comb += kind.eq(self._chosen(group, d, 0, lambda lane: lane.payload.mode.as_value()))
        # Whatever the ports offer: a wide clock enable need not know whether it is a group.
        with m.If(~gathered | move):
            m.d.sync += [about.eq(note), about.last.eq(note.last & done), *(own.eq(how) for own in conversions)]
            with m.Switch(row_dim):
                for d in range(len(c.dims)):
                    with dim_case(m, c, d):
                        for r in range(c.lanes >> d):
                            field = self._chosen(group, d, r, lambda lane, d=d: row_field(
                                c, lane.payload.raw, lane.payload.mode.join, d))
                            slices = Cat(raw[s] for s in range(r << d, (r + 1) << d))
                            m.d.sync += slices.eq(field)
                            if self.pairs and d + 1 < len(c.dims):
                                with m.If(second):
                                    m.d.sync += slices.eq(self._chosen(group, d, r, lambda lane, d=d: second_field(
                                        c, lane.payload.raw, lane.payload.mode.width, d)))

        m.submodules.converter = converter = BitWidthConverter(c, c.slices)
        m.d.comb += [
            converter.en.eq(move), converter.dim_log2.eq(row_dim),
            *(how.eq(own) for how, own in zip(converter.conversions, conversions, strict=True)),
            converter.raw.eq(raw), out.payload.slices.eq(converter.operands),
        ]
        with m.If(move):
            m.d.sync += [
                out.valid.eq(gathered), out.payload.count.eq(about.count), out.payload.last.eq(about.last),
                out.payload.fill.eq(about.fill), out.payload.half.eq(about.half),
            ]
        m.d.comb += self.idle.eq(~gathered & ~self.o.valid)
        return m

    def _chosen(self, group: Signal, d: int, r: int, of) -> Value:
        """`of` the port that has row `r` of this group at D = min_dim << d: port set·R + r."""
        rows = self.config.lanes >> d
        sets = self.ports // rows
        value: Value = Const(0, len(of(self.lanes[r])))
        for k in range(sets):
            value = value | Mux(group[:clog2(sets)] == k if sets > 1 else 1, of(self.lanes[k * rows + r]), 0)
        return value

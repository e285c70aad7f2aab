"""Gathers the rows of a group from the row ports into one operand row."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.one_hot import one_hot_mux
from ..primitives.registers import local_copy, payload_register
from ..stream.job_layouts import dim_case
from ..stream.layouts import operand_row
from ..stream.skid import SpareBuffer
from .converter import port_row
from .row_generator import group_note


class RowCollector(wiring.Component):
    """`notes` (one `group_note` per group) and `lanes` (array of `port_row`, one per port) → `o` (`operand_row`).

    Takes a group when all its live rows are there; ports rotate as in `RowGenerator`. One group per cycle,
    `LATENCY` = 1. A group of `pair`s (only if built with `pairs`) takes two cycles: the rows of the first head leave,
    then those of the second. `error`: a row taken in the cycle before had an AXI error. `o.ready` is cut. `idle`: no
    group inside.
    """

    LATENCY = 1

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
            "lanes": In(stream.Signature(port_row(c))).array(ports),
            "o": Out(stream.Signature(operand_row(c))), "error": Out(1), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        ports = self.ports
        group = Signal(max(1, clog2(ports * c.max_dim // c.multipliers)))
        expected = Signal(ports)      # ports with a row of this group
        valids = Signal(ports)
        errors = Signal(ports)
        take = Signal()         # a group, or half of a group of pairs, is gathered
        done = Signal()         # … and nothing is left of it
        second = Signal()       # the rows of the pairs' first head are out
        note = self.notes.payload
        with m.Switch(self.dim_log2):
            for d in range(len(c.dims)):
                rows = c.lanes >> d
                sets = ports // rows
                chosen = group[:clog2(sets)]
                with dim_case(m, c, d):
                    m.d.comb += expected.eq(Cat(
                        (note.count > p % rows) & (chosen == p // rows if sets > 1 else 1) for p in range(ports)))
        # For the multiplexers of rows, which are spread over the device; the control uses the port itself.
        row_dim = local_copy(m, self.dim_log2, "row_dim")
        # Behind the output register a spare register catches a row; its `ready` is the clock enable.
        m.submodules.catch = spare = SpareBuffer(operand_row(c))
        wiring.connect(m, spare.o, wiring.flipped(self.o))
        move = spare.i.ready
        out = payload_register(m, spare.i.payload, "gathered")
        m.d.comb += [
            valids.eq(Cat(lane.valid for lane in self.lanes)),
            errors.eq(Cat(lane.payload.error for lane in self.lanes)),
            take.eq(self.notes.valid & ~(expected & ~valids).any() & move),
            done.eq(take & (~note.pair | second if self.pairs else 1)), self.notes.ready.eq(done),
        ]
        m.d.comb += [lane.ready.eq(done & expected[p]) for p, lane in enumerate(self.lanes)]
        m.d.sync += self.error.eq(take & (errors & expected).any())
        with m.If(done):
            m.d.sync += group.eq(group + 1)
        if self.pairs:
            with m.If(take):
                m.d.sync += second.eq(~done)
        # Loaded also without a group: `valid` tells, and the wide clock enable is simpler.
        with m.If(move):
            m.d.sync += [
                spare.i.valid.eq(take), out.count.eq(note.count), out.last.eq(note.last & done), out.fill.eq(note.fill),
                out.half.eq(note.half),
            ]
            with m.Switch(row_dim):
                for d in range(len(c.dims)):
                    bits = c.dims[d] * c.operand_bits
                    with dim_case(m, c, d):
                        for r in range(c.lanes >> d):
                            slices = Cat(out.slices[s] for s in range(r << d, (r + 1) << d))
                            m.d.sync += slices.eq(self._chosen(
                                group, d, r, lambda lane, bits=bits: lane.payload.operands[:bits]))
                            if self.pairs and d + 1 < len(c.dims):
                                # Two rows lie side by side: the second is the other head's.
                                with m.If(second):
                                    m.d.sync += slices.eq(self._chosen(
                                        group, d, r, lambda lane, bits=bits: lane.payload.operands[bits:2 * bits]))
        m.d.comb += self.idle.eq(~spare.i.valid & ~self.o.valid)
        contract(m, (note.count <= (c.lanes >> self.dim_log2)) & ((note.count != 0) | note.last),
                 "a group has 1 to R rows, or none and ends the command", when=self.notes.valid)
        return m

    def _chosen(self, group: Signal, d: int, r: int, of) -> Value:
        """`of` the port that has row `r` of this group at D = min_dim << d: port set·R + r."""
        rows = self.config.lanes >> d
        sets = self.ports // rows
        rows_of_sets = [of(self.lanes[k * rows + r]) for k in range(sets)]
        if sets == 1:
            return rows_of_sets[0]
        return one_hot_mux([group[:clog2(sets)] == k for k in range(sets)], rows_of_sets)

"""Σ P per position over one layer (paper section III-B, "importance accumulators")."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig
from ..contract import contract, full_rows
from ..stream.layouts import prob_row
from .accumulate import RowAccumulator
from .rows import layer_sum_bits, row_bits


class TokenImportance(wiring.Component):
    """Adds every final probability row to the L sums of its positions; sums are exact within a layer.

    `probs`: one row per cycle, always ready except while `scan`; vectors back to back, same rows or not.
    `idle`: all accepted rows are in the memory. Row i of a vector holds positions i·L … .

    Rows need no clearing: every vector starts at row 0, so the rows of a layer are a prefix, and `used`
    counts them. A row at or past `used` counts as 0, both when it is added to and when it is read. `clear`
    (and reset at any time) sets `used` to 0, which hides the sums of an earlier layer, even of one that was
    longer or that a reset cut short.

    While `scan` (only when idle), `sums` follows `read_row` by two cycles with `read_enable`.
    """

    probs: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.accumulator = RowAccumulator(c.max_rows, c.lanes, PROB_BITS, layer_sum_bits(c), saturate=False)
        super().__init__({
            "probs": In(stream.Signature(prob_row(c))), "idle": Out(1), "clear": In(1),
            "scan": In(1), "read_enable": In(1), "read_row": In(row_bits(c)),
            "sums": Out(data.ArrayLayout(layer_sum_bits(c), c.lanes)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.accumulator = acc = self.accumulator
        p = self.probs.p
        row = Signal(row_bits(c))
        used = Signal(range(c.max_rows + 1))
        take = Signal()
        fresh = Signal()
        m.d.comb += [
            self.probs.ready.eq(~self.scan),
            take.eq(self.probs.valid & self.probs.ready),
            fresh.eq(row >= used),
            acc.add.eq(take), acc.add_row.eq(row), acc.add_fresh.eq(fresh),
            self.idle.eq(acc.idle),
            acc.scan.eq(self.scan), acc.read_enable.eq(self.read_enable), acc.read_row.eq(self.read_row),
        ]
        for lane in range(c.lanes):
            m.d.comb += acc.addends[lane].eq(Mux(lane < p.count, p.probs[lane], 0))
        with m.If(take):
            m.d.sync += row.eq(Mux(p.last, 0, row + 1))
            with m.If(fresh):
                m.d.sync += used.eq(row + 1)
        with m.If(self.clear):
            m.d.sync += used.eq(0)

        live = Signal(2)
        with m.If(self.read_enable):
            m.d.sync += live.eq(Cat(self.read_row < used, live[0]))
        for lane in range(c.lanes):
            m.d.comb += self.sums[lane].eq(Mux(live[1], acc.totals[lane], 0))
        contract(m, full_rows(p.count, p.last, c.lanes), "rows of probabilities are full but for the last",
                 when=self.probs.valid)
        contract(m, row < c.max_rows, "no vector is longer than the memory", when=self.probs.valid)
        return m

"""Whether the tokens that are the queries of a generation job survive: a query sees its own key."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.widths import wrap
from ..stream.layouts import slice_counts
from .rows import class_row, counts_below, limit_bits


class QueryTokens(wiring.Component):
    """`start`: reads the lists of the survivors, a row per cycle; `done` with the last one, then `good` tells whether
    all of the last `queries` of `tokens` survive.

    `row` → `live`, `indexes` (id div S) of each class one cycle later, of which it has `counts`. A list ascends, so of
    the n new tokens of a class all survive if and only if the n-th entry from its end is one of them. `tokens`,
    `queries` and `counts` are constant from two cycles before `start`. Cycles from `start` to `done`: the longest list
    + 3.
    """

    start: Signal
    busy: Signal
    done: Signal
    good: Signal
    tokens: Signal
    queries: Signal
    counts: data.View
    row: Signal
    live: Signal
    indexes: data.View

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "start": In(1), "busy": Out(1), "done": Out(1), "good": Out(1),
            "tokens": In(c.count_bits), "queries": In(c.count_bits), "counts": In(slice_counts(c)),
            "row": Out(c.row_bits), "live": In(c.slices), "indexes": In(class_row(c)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        ends = counts_below(m, c, self.tokens, "ends")
        firsts = counts_below(m, c, wrap(self.tokens - self.queries, c.count_bits), "firsts")
        row = Signal(range(c.max_rows + 1))
        shown = Signal(range(c.max_rows + 1))
        reads = Signal()
        found = Signal(c.slices)
        wanted = Signal(c.slices, reset_less=True)
        over = shown == c.max_rows
        m.d.comb += [self.row.eq(row[:c.row_bits]), self.done.eq(self.busy & reads & (~self.live.any() | over)),
                     self.good.eq((found | ~wanted).all())]
        m.d.sync += [reads.eq(self.busy & ~self.done), shown.eq(row)]
        with m.If(self.start):
            m.d.sync += [self.busy.eq(1), row.eq(0), found.eq(0)]
        with m.Elif(self.busy):
            m.d.sync += [row.eq(row + 1), self.busy.eq(~self.done)]
        for b in range(c.slices):
            new = Signal(limit_bits(c), name=f"new_{b}", reset_less=True)
            m.d.sync += [new.eq(ends[b] - firsts[b]), wanted[b].eq(ends[b] != firsts[b])]
            with m.If(reads & self.live[b] & (shown + new == self.counts[b]) & (self.indexes[b] >= firsts[b])):
                m.d.sync += found[b].eq(1)
        contract(m, ~self.busy, "one look at a time", when=self.start)
        contract(m, self.queries <= self.tokens, "queries are tokens", when=self.start)
        return m

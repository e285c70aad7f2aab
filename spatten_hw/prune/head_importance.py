"""Total Σ |out| per K/V head over the layers of a cascade."""

from __future__ import annotations

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..stream.layouts import head_sum
from .accumulate import RowAccumulator
from .rows import head_total


class HeadImportance(wiring.Component):
    """Adds head sums to the total of their K/V head, saturating at `head_score_bits`.

    `head_sums`: one per cycle, always ready except during a scan or a write. `idle`: all are in the memory.
    `clear` makes every total 0 in one cycle (a total without its `known` bit is 0; reset clears them too).
    `write` sets one total (only when idle).
    `start` scans the heads of bitmap `mask` (not empty) ascending into `totals`: one head number per cycle,
    the first total after 3 cycles; the last has `last`. `scanning`, a register, falls a cycle after that is taken.
    """

    head_sums: stream.Interface
    totals: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.accumulator = RowAccumulator(
            c.max_heads, 1, len_of(head_sum(c), "sum"), c.head_score_bits, saturate=True)
        super().__init__({
            "head_sums": In(stream.Signature(head_sum(c))), "idle": Out(1), "clear": In(1),
            "write": In(1), "write_head": In(c.head_bits), "write_total": In(c.head_score_bits),
            "start": In(1), "mask": In(c.max_heads), "scanning": Out(1),
            "totals": Out(stream.Signature(head_total(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.accumulator = acc = self.accumulator
        known = Signal(c.max_heads)
        known_bits = Array(known)
        take = Signal()
        head = self.head_sums.p.kv_head
        m.d.comb += [
            self.head_sums.ready.eq(~self.scanning & ~self.write),
            take.eq(self.head_sums.valid & self.head_sums.ready),
            acc.add.eq(take), acc.add_row.eq(head), acc.add_fresh.eq(~known_bits[head]),
            acc.addends[0].eq(self.head_sums.p.sum),
            self.idle.eq(acc.idle),
            acc.write.eq(self.write), acc.write_row.eq(self.write_head), acc.write_total.eq(self.write_total),
        ]
        with m.If(take):
            m.d.sync += known_bits[head].eq(1)
        with m.If(self.write):
            m.d.sync += known_bits[self.write_head].eq(1)
        with m.If(self.clear):
            m.d.sync += known.eq(0)

        # The scan shifts the bitmap, one head per cycle; its three stages stop together.
        left = Signal(c.max_heads)
        scan_head = Signal(c.head_bits)
        fetch_valid = Signal()
        fetch_known = Signal()
        fetch_last = Signal()
        out_valid = Signal()
        out_known = Signal()
        out_last = Signal()
        fetch_head = Signal(c.head_bits)
        out_head = Signal(c.head_bits)
        go = Signal()
        m.d.comb += [
            go.eq(~out_valid | self.totals.ready),
            acc.scan.eq(self.scanning), acc.read_enable.eq(go), acc.read_row.eq(scan_head),
            self.totals.valid.eq(out_valid),
            self.totals.p.head.eq(out_head), self.totals.p.last.eq(out_last),
            self.totals.p.total.eq(Mux(out_known, acc.totals[0], 0)),
        ]
        # Registered, because it decides whether a sum is taken. The scan reads nothing in the cycle of `start`.
        m.d.sync += self.scanning.eq(self.start | (left != 0) | fetch_valid | out_valid)
        with m.If(go):
            m.d.sync += [
                left.eq(left >> 1), scan_head.eq(scan_head + 1),
                fetch_valid.eq(left[0]), fetch_head.eq(scan_head), fetch_known.eq(known_bits[scan_head]),
                fetch_last.eq((left >> 1) == 0),
                out_valid.eq(fetch_valid), out_head.eq(fetch_head), out_known.eq(fetch_known),
                out_last.eq(fetch_last),
            ]
        with m.If(self.start):
            m.d.sync += [left.eq(self.mask), scan_head.eq(0)]
        contract(m, self.mask != 0, "a scan has a head", when=self.start)
        contract(m, ~self.scanning, "a scan starts when the one before has ended", when=self.start)
        contract(m, self.write_head < c.max_heads, "heads are in range", when=self.write)
        contract(m, head < c.max_heads, "heads are in range", when=take)
        return m


def len_of(layout, name: str) -> int:
    """Width of field `name` of a struct layout."""
    return layout[name].width

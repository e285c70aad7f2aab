"""Head pruning: drops the head with the smallest total until as many are left as are to be kept."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from .rows import head_total


class HeadPruning(wiring.Component):
    """`start` with 1 ≤ `keep` < `count`: one scan of the surviving heads' totals for every head that is dropped, the
    one with the smallest total, of equal ones the highest; a scan and its drop take the highest surviving head's number
    + 7 cycles. Rare and short (a few heads of a few dozen, once per layer), so one comparator is enough. `done` when
    `keep` are left, a cycle after the last is dropped.
    """

    totals: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        count = c.max_heads.bit_length()
        super().__init__({
            "start": In(1), "done": Out(1), "keep": In(count), "count": In(count),
            "scan": Out(1), "scanning": In(1), "totals": In(stream.Signature(head_total(c))),
            "drop": Out(1), "dropped": Out(c.head_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, p = self.config, self.totals.p
        least = Signal(c.head_score_bits, reset_less=True)
        first = Signal()
        m.d.comb += self.totals.ready.eq(1)
        with m.If(self.totals.valid):
            m.d.sync += first.eq(0)
            with m.If(first | (p.total <= least)):
                m.d.sync += [least.eq(p.total), self.dropped.eq(p.head)]
        with m.FSM(name="heads") as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.next = "SCAN"
            with m.State("SCAN"):
                m.d.sync += first.eq(1)
                with m.If(self.count == self.keep):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Elif(~self.scanning):
                    m.d.comb += self.scan.eq(1)
                    m.next = "TOTALS"
            with m.State("TOTALS"):
                with m.If(self.totals.valid & p.last):
                    m.next = "DROP"
            with m.State("DROP"):
                m.d.comb += self.drop.eq(1)
                m.next = "SCAN"
        contract(m, fsm.ongoing("IDLE") & (self.keep != 0), "one pruning at a time", when=self.start)
        contract(m, self.keep <= self.count, "no more are dropped than asked", when=fsm.ongoing("SCAN"))
        always_taken(m, self.totals, "totals")
        return m

"""Counts work items: which SRAM halves are still in use, what is left in each stage."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract


class ItemCounts(wiring.Component):
    """Follows items from `item` (issued, for `item_half`) over `listed` (probabilities taken, V rows known) or
    `dropped` (flat, to come again) and `value_done` (`value_done_gang` of them leave Prob×V) to `item_done` (outputs
    made).

    `retire`: a pulse per half, all items of its head have been issued (`half_done`) and have left Prob×V. `scored`: no
    item needs the survivors any more; `drained`: none is behind it. All counts are a cycle late.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "item": In(1), "item_half": In(1), "dropped": In(1), "dropped_half": In(1), "half_done": In(2),
            "listed": In(c.max_group.bit_length()), "value_done": In(1), "value_done_half": In(1),
            "value_done_gang": In(c.max_group.bit_length()), "item_done": In(1),
            "retire": Out(2), "scored": Out(1), "drained": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        # An item has its number until the end of Prob×V; behind that, only the pipeline's storage limits how many.
        width = clog2(2 * c.items) + 1
        done = Mux(self.value_done, self.value_done_gang, 0)
        for h in range(2):
            in_half = Signal(width, name=f"in_half_{h}")
            draining = Signal(name=f"draining_{h}")
            enters = self.item & (self.item_half == h)
            dropped = self.dropped & (self.dropped_half == h)
            leaves = Mux(self.value_done_half == h, done, 0)
            m.d.sync += in_half.eq((in_half + enters - leaves - dropped)[:width])
            contract(m, in_half + enters >= leaves + dropped, f"only items of half {h} leave it")
            contract(m, in_half <= c.items, f"items of half {h} are counted")
            with m.If(self.half_done[h]):
                m.d.sync += draining.eq(1)
            with m.Elif(draining & (in_half == 0)):
                m.d.comb += self.retire[h].eq(1)
                m.d.sync += draining.eq(0)
        in_front = Signal(width)
        in_back = Signal(width)
        m.d.sync += [
            in_front.eq((in_front + self.item - self.listed - self.dropped)[:width]),
            in_back.eq((in_back + self.listed - self.item_done)[:width]),
        ]
        contract(m, in_front + self.item >= self.listed + self.dropped, "only items that were issued are scored")
        contract(m, (in_back != 0) | (self.listed != 0), "only items that were scored are done", when=self.item_done)
        contract(m, (in_front <= c.items) & ~in_back.all(), "items are counted")
        m.d.comb += [self.scored.eq(in_front == 0), self.drained.eq(in_back == 0)]
        return m

"""How many keys have at least each value of a digit, counted over rows of lanes."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..primitives.adder_tree import adder_tree
from ..primitives.pipeline import delay
from ..primitives.tree import tree_stages
from ..primitives.widths import narrow
from .rows import DIGIT_BITS, digit_row

VALUES = 1 << DIGIT_BITS


class DigitCounts(wiring.Component):
    """Counts the lanes in `live` by their `digits`, one row per cycle: `counts[v]` have a digit of at least v. Lanes in
    `apart` are counted by themselves, `apart_count`. A row counts `latency` cycles later. With `first` counting begins
    at this row.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.latency = tree_stages(c.slices) + 1
        super().__init__({
            "live": In(c.slices), "digits": In(digit_row(c)), "apart": In(c.slices), "first": In(1),
            "counts": Out(data.ArrayLayout(unsigned(c.count_bits), VALUES)), "apart_count": Out(c.count_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        kinds = [("apart", self.apart, self.apart_count)]
        for v in range(VALUES):
            at_least = Signal(c.slices, name=f"at_least_{v}")
            m.d.comb += at_least.eq(Cat(self.live[b] & (self.digits[b] >= v if v else 1) for b in range(c.slices)))
            kinds.append((f"value_{v}", at_least, self.counts[v]))
        first = delay(m, self.first, tree_stages(c.slices), "first", reset=True)
        for name, bits, count in kinds:
            # Sums count without a bit beside them, hence with a reset.
            more = adder_tree(m, [bits[b] for b in range(c.slices)], name, reset=True)
            m.d.sync += count.eq(narrow(Mux(first, 0, count) + more, c.count_bits))
        return m

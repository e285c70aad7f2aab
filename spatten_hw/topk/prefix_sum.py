"""Number of set bits before each lane: the first part of the zero eliminator (SpAtten, Figure 12)."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class PrefixSum(wiring.Component):
    """`ahead[j]` = number of ones among `bits[0 … j−1]`; `total` = number of ones in `bits`.

    Combinational: log2(lanes) adders deep (Kogge–Stone). `lanes` ≥ 1, any number.
    """

    bits: Signal
    ahead: data.View
    total: Signal

    def __init__(self, lanes: int):
        if lanes < 1:
            raise ValueError(f"lanes must be at least 1, not {lanes}")
        self.lanes = lanes
        self.count_bits = lanes.bit_length()
        super().__init__({
            "bits": In(lanes),
            "ahead": Out(data.ArrayLayout(unsigned(self.count_bits), lanes)),
            "total": Out(self.count_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # sums[j] covers the `span` lanes that end at lane j (fewer at the bottom).
        sums = [self.bits[j] for j in range(self.lanes)]
        span = 1
        while span < self.lanes:
            wider = []
            for j in range(self.lanes):
                if j < span:
                    wider.append(sums[j])
                    continue
                part = Signal(self.count_bits, name=f"sum_{2 * span}_{j}")
                m.d.comb += part.eq(sums[j] + sums[j - span])
                wider.append(part)
            sums, span = wider, 2 * span
        m.d.comb += [self.ahead[0].eq(0), self.total.eq(sums[-1])]
        m.d.comb += [self.ahead[j].eq(sums[j - 1]) for j in range(1, self.lanes)]
        return m

"""Which keys of a vector a threshold keeps (SpAtten, section IV-B)."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract import contract
from ..primitives.widths import narrow
from ..stream.layouts import threshold
from ..stream.skid import SkidBuffer
from .prefix_sum import PrefixSum


def masked_row(lanes: int, key_bits: int, aside: ShapeLike) -> data.StructLayout:
    """Keys, those with a bit in `mask`; what goes along with the row is `aside`."""
    return data.StructLayout({
        "keys": data.ArrayLayout(unsigned(key_bits), lanes), "mask": unsigned(lanes), "last": 1, "aside": aside,
    })


class ThresholdFilter(wiring.Component):
    """Per `threshold` takes the `rows` of a vector, live lanes in `mask`, and gives them out with the kept ones in it.

    Kept are the keys above the threshold and the first `keep_equal` equal ones, by row, then by lane: a prefix sum over
    the lanes of a row, what is left of the quota across rows. One row per cycle, no gap between vectors, `LATENCY`
    cycles from both valid to `o`. All stages advance together while the buffer at `o` has room, so that nothing depends
    combinationally on `o.ready`; `o` comes from registers. `rows` should, too: they go into comparators.
    """

    #: Compared, counted, kept; the buffer.
    LATENCY = 3 + SkidBuffer.LATENCY

    #: What an engine found, `threshold`, one per vector.
    threshold: stream.Interface
    #: Rows with their live lanes, `masked_row`.
    rows: stream.Interface
    #: The same rows with their kept lanes.
    o: stream.Interface

    def __init__(self, key_bits: int, lanes: int, count_bits: int, aside: ShapeLike):
        self.key_bits = key_bits
        self.lanes = lanes
        self.count_bits = count_bits
        row = masked_row(lanes, key_bits, aside)
        super().__init__({
            "threshold": In(stream.Signature(threshold(key_bits, count_bits))),
            "rows": In(stream.Signature(row)), "o": Out(stream.Signature(row)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, rank_bits = self.lanes, self.lanes.bit_length()
        m.submodules.ranks = ranks = PrefixSum(lanes)
        m.submodules.out = out = SkidBuffer(self.o.p.shape())
        wiring.connect(m, out.o, wiring.flipped(self.o))
        row, bound = self.rows.p, self.threshold.p
        advance = Signal()
        takes = Signal()
        m.d.comb += [
            advance.eq(out.i.ready), takes.eq(advance & self.rows.valid & self.threshold.valid),
            self.rows.ready.eq(advance & self.threshold.valid),
            self.threshold.ready.eq(advance & self.rows.valid & row.last),
        ]

        # Compared.
        names = ("compared", "counted", "kept")
        valid = {name: Signal(name=f"{name}_valid") for name in names}
        rows = {name: Signal(row.shape(), name=f"{name}_row", reset_less=True) for name in names}
        first = [Signal(name=f"{name}_first") for name in names[:2]]
        quotas = [Signal(self.count_bits, name=f"{name}_quota", reset_less=True) for name in names[:2]]
        larger = Signal(lanes, reset_less=True)
        larger_counted = Signal(lanes, reset_less=True)
        equal = Signal(lanes, reset_less=True)
        equal_counted = Signal(lanes, reset_less=True)
        opens = Signal(init=1)  # the row that comes is a vector's first
        with m.If(takes):
            m.d.sync += opens.eq(row.last)
        with m.If(advance):
            m.d.sync += [
                valid["compared"].eq(takes), valid["counted"].eq(valid["compared"]), valid["kept"].eq(valid["counted"]),
                rows["compared"].eq(row), rows["counted"].eq(rows["compared"]),
                first[0].eq(opens), first[1].eq(first[0]),
                quotas[0].eq(bound.keep_equal), quotas[1].eq(quotas[0]),
                larger.eq(Cat(row.mask[j] & (row.keys[j] > bound.threshold) for j in range(lanes))),
                equal.eq(Cat(row.mask[j] & (row.keys[j] == bound.threshold) for j in range(lanes))),
                larger_counted.eq(larger), equal_counted.eq(equal),
            ]

        # Counted: equal keys before each lane, and in the row.
        ahead = Signal(data.ArrayLayout(unsigned(rank_bits), lanes), reset_less=True)
        equals = Signal(rank_bits, reset_less=True)
        m.d.comb += ranks.bits.eq(equal)
        with m.If(advance):
            m.d.sync += [ahead.eq(ranks.ahead), equals.eq(ranks.total)]

        # Kept: the quota of a row is what earlier rows left. What matters of it is whether it is at least `lanes`.
        quota_left = Signal(self.count_bits, reset_less=True)
        quota = Signal(self.count_bits)
        m.d.comb += quota.eq(Mux(first[1], quotas[1], quota_left))
        with m.If(advance):
            m.d.sync += rows["kept"].eq(rows["counted"])
            m.d.sync += rows["kept"].mask.eq(
                larger_counted | Cat(equal_counted[j] & (ahead[j] < quota) for j in range(lanes)))
            with m.If(valid["counted"]):
                m.d.sync += quota_left.eq(Mux(quota > equals, narrow(quota - equals, self.count_bits), 0))

        m.d.comb += [out.i.valid.eq(valid["kept"]), out.i.payload.eq(rows["kept"])]
        contract(m, bound.keep_equal != 0, "a key equal to the threshold is kept", when=self.threshold.valid)
        return m

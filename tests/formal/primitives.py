"""What must hold of the primitives, stated against naive models."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Shape, Signal, signed, unsigned
from amaranth.hdl import Assert
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from spatten_hw.contract import at_most_one
from spatten_hw.primitives.adder_tree import adder_tree
from spatten_hw.primitives.compare_tree import max_tree
from spatten_hw.primitives.one_hot import (
    any_of,
    lowest_index,
    lowest_set,
    one_hot_index,
    one_hot_mux,
    without_lowest,
)
from spatten_hw.primitives.pipeline import Pipeline, delay
from spatten_hw.primitives.products import STRIDE_STAGES, stride_product
from spatten_hw.primitives.ring import next_in_ring
from spatten_hw.primitives.rounding import guarded, round_guarded, round_saturate, round_shift, sticky_shift
from spatten_hw.primitives.tree import tree_stages
from spatten_hw.primitives.widths import resize, saturate, wrap


class SelectionHarness(wiring.Component):
    """One-hot selection, lowest bits and indices that go round, against their definitions."""

    def __init__(self, lanes: int):
        self.lanes = lanes
        super().__init__({"bits": In(lanes), "values": In(data.ArrayLayout(unsigned(2), lanes))})

    def elaborate(self, platform) -> Module:
        m = Module()
        n, bits = self.lanes, self.bits
        index, chosen = Signal(range(max(2, n))), Signal(2)
        lowest, low = lowest_index(m, bits, "lowest"), lowest_set(bits)
        naive = Signal(2)
        m.d.comb += [index.eq(one_hot_index(low)), chosen.eq(one_hot_mux(low, list(self.values)))]
        for lane in reversed(range(n)):
            with m.If(bits[lane]):
                m.d.comb += naive.eq(self.values[lane])
        m.d.comb += [
            Assert(at_most_one(low)), Assert((low & ~bits) == 0), Assert(low.any() == bits.any()),
            Assert((low | without_lowest(bits)) == bits), Assert((low & without_lowest(bits)) == 0),
            Assert(~bits.any() | (index == lowest)), Assert(~bits.any() | (((bits >> lowest) & 1) == 1)),
            Assert(bits.any() | (chosen == 0)), Assert(~bits.any() | (chosen == naive)),
            Assert(any_of(bits) == bits.any()),
            Assert((index >= n) | (next_in_ring(index, n) == Mux(index + 1 == n, 0, index + 1))),
        ]
        return m


class TreeHarness(wiring.Component):
    """Adder and comparator tree: the plain sum, and a value that is there and below no other."""

    def __init__(self, lanes: int, width: int):
        self.lanes, self.width = lanes, width
        super().__init__({"values": In(data.ArrayLayout(signed(width), lanes))})

    def elaborate(self, platform) -> Module:
        m = Module()
        values, stages = list(self.values), tree_stages(self.lanes)
        before = [delay(m, value, stages, f"value{n}") for n, value in enumerate(values)]
        begun = delay(m, Const(1, 1), stages, "begun", reset=True) if stages else Const(1, 1)
        total, largest = adder_tree(m, values, "total"), max_tree(m, values, "largest")
        with m.If(begun):
            m.d.comb += [
                Assert(total == sum(before)), Assert(Cat(largest >= value for value in before).all()),
                Assert(Cat(largest == value for value in before).any()),
            ]
        return m


class RoundingHarness(wiring.Component):
    """A shift in two stages and its rounding are the rounding of one shift; the widths that follow lose nothing."""

    def __init__(self, width: int, amount: int):
        self.width = width
        super().__init__({"value": In(signed(width)), "amount": In(amount)})

    def elaborate(self, platform) -> Module:
        m = Module()
        coarse = sticky_shift(m, guarded(self.value), self.amount[1:], 2, "coarse")
        fine = sticky_shift(m, coarse, self.amount[:1], 1, "fine")
        once = round_shift(self.value, self.amount)
        narrower = Shape(self.width - 2, True)
        clamped = saturate(once, narrower)
        magnitude = sticky_shift(m, guarded(self.value.as_unsigned()), self.amount, 1, "magnitude")
        m.d.comb += [
            Assert(round_saturate(m, fine, self.width - 2, "narrower").as_signed() == clamped),
            Assert(round_guarded(magnitude) == round_shift(self.value.as_unsigned(), self.amount)),
            Assert((clamped == once) | (clamped == (1 << self.width - 3) - 1) | (clamped == -(1 << self.width - 3))),
            Assert(resize(clamped, signed(self.width)) == clamped), Assert(wrap(once, self.width) == once[:self.width]),
        ]
        return m


class StrideHarness(wiring.Component):
    """index · stride modulo 2^width, two steps of the enable later."""

    def __init__(self, index: int, stride: int, width: int):
        self.width = width
        super().__init__({"index": In(index), "stride": In(stride), "enable": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        pipeline = Pipeline(m, self.enable)
        product = stride_product(m, self.index, self.stride, self.width, "product", self.enable)
        want = pipeline.delay((self.index * self.stride)[:self.width], STRIDE_STAGES, "want")
        with m.If(pipeline.flag(Const(1, 1), STRIDE_STAGES, "begun")):
            m.d.comb += Assert(product == want)
        return m

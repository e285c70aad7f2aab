"""Adder and comparator trees: exact, one result per cycle, `tree_stages` late, held by their enable."""

import numpy as np
import pytest
from amaranth import Module, Shape
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.primitives.adder_tree import adder_tree, balanced_sum
from spatten_hw.primitives.compare_tree import max_tree
from spatten_hw.primitives.pipeline import Pipeline
from spatten_hw.primitives.tree import tree_stages
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from tests.seeds import numbers

#: Values, bits, whether they are signed.
BUILDS = [(2, 5, True), (3, 6, False), (4, 9, True), (7, 12, False), (16, 30, True), (33, 8, True)]


class Trees(wiring.Component):
    """`o`: sum, largest and, combinational, sum again of `i`, a row per cycle; moves when the row on `o` is taken."""

    def __init__(self, count: int, bits: int, is_signed: bool):
        self.count, self.shape = count, Shape(bits, is_signed)
        total = Shape(bits + (count - 1).bit_length(), is_signed)
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"row": data.ArrayLayout(self.shape, count)}))),
            "o": Out(stream.Signature(data.StructLayout({"sum": total, "largest": self.shape, "at_once": total}))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        enable = ~self.o.valid | self.o.ready
        moves = Pipeline(m, enable)
        stages, values = tree_stages(self.count), list(self.i.p.row)
        m.d.comb += [
            self.i.ready.eq(enable), self.o.valid.eq(moves.flag(self.i.valid, stages, "valid")),
            self.o.p.sum.eq(adder_tree(m, values, "sum", enable)),
            self.o.p.largest.eq(max_tree(m, values, "largest", enable)),
            self.o.p.at_once.eq(moves.delay(balanced_sum(values), stages, "at_once")),
        ]
        return m


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("stall", [0, 0.5])
def test_trees(build, stall):
    count, bits, is_signed = build
    rng, low = numbers("trees", *build), -(1 << bits - 1) if is_signed else 0
    values = rng.integers(low, low + (1 << bits), (200, count))
    values[0], values[1] = low, low + (1 << bits) - 1
    block = Block(Trees, *build)
    block.receive("o", stall=stall, seed=3)
    block.send("i", pack(block.component.i.p.shape(), {"row": values}))
    block.run(2000, o=len(values))
    got = block.taken("o").columns()
    for name, want in (("sum", values.sum(axis=1)), ("largest", values.max(axis=1)), ("at_once", values.sum(axis=1))):
        assert np.array_equal(got[name], want), name
    if not stall:
        assert np.array_equal(block.taken("o").cycles, block.taken("i").cycles + tree_stages(count))
        assert block.taken("o").bubbles == 0


@pytest.mark.parametrize("values,stages", [(1, 0), (2, 1), (4, 1), (5, 2), (16, 2), (17, 3), (64, 3)])
def test_stages(values, stages):
    assert tree_stages(values) == stages

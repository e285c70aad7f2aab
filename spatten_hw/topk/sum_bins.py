"""Sums of probabilities by one of their digits, in a small memory per lane."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS
from ..primitives.adder_tree import adder_tree
from ..primitives.tree import tree_stages
from ..primitives.widths import wrap

#: Width of the sum of a vector's probabilities: one that is not 0 is less than twice the real one, those sum to 2^12.
MASS_BITS = PROB_BITS + 2
#: Bits of a probability that are decided at a time.
DIGIT_BITS = 4
BINS = 1 << DIGIT_BITS


class SumBins(wiring.Component):
    """For every digit b the sum of the `probs` of those lanes and rows whose digit is b.

    `add`: the row's lanes in `members` are added to the bins that `digits` say. `read`, never with `add`: the bins
    `bin` are read and set to 0; `LATENCY` cycles later `sum` is their sum over the lanes. One row or bin per cycle.
    A bin that was never read holds anything: after a reset each is read once. A histogram in memories rather than in
    registers, since a sum masked and added for every digit in every lane would cost as much as the top-k engine.
    """

    add: Signal
    digits: data.View
    probs: data.View
    members: Signal
    read: Signal
    bin: Signal
    sum: Signal

    def __init__(self, lanes: int):
        self.lanes = lanes
        #: The lanes' bins, their tree.
        self.latency = 1 + tree_stages(lanes)
        super().__init__({
            "add": In(1), "members": In(lanes),
            "digits": In(data.ArrayLayout(unsigned(DIGIT_BITS), lanes)),
            "probs": In(data.ArrayLayout(unsigned(PROB_BITS), lanes)),
            "read": In(1), "bin": In(DIGIT_BITS), "sum": Out(MASS_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        terms = []
        for lane in range(self.lanes):
            m.submodules[f"bins_{lane}"] = memory = Memory(shape=unsigned(MASS_BITS), depth=BINS, init=[])
            write, read = memory.write_port(), memory.read_port(domain="comb")
            place = Signal(DIGIT_BITS, name=f"place_{lane}")
            term = Signal(MASS_BITS, name=f"term_{lane}", reset_less=True)
            m.d.comb += [
                place.eq(Mux(self.read, self.bin, self.digits[lane])), read.addr.eq(place), write.addr.eq(place),
                write.en.eq(self.read | (self.add & self.members[lane])),
                # A sum of a legal vector fits; those of others are not used.
                write.data.eq(Mux(self.read, 0, wrap(read.data + self.probs[lane], MASS_BITS))),
            ]
            m.d.sync += term.eq(read.data)
            terms.append(term)
        m.d.comb += self.sum.eq(wrap(adder_tree(m, terms, "bin_sum"), MASS_BITS))
        return m

"""Hands out numbers in ring order: score slots and work items."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2
from ..contract import contract
from ..primitives.ring import next_in_ring


class TicketRing(wiring.Component):
    """`count` ≥ 2 numbers, taken in ring order, given back in any order.

    `number` is the next one and `available` (a register, since much depends on it) whether it is free; `take` (only
    while available) takes it. `free`: a bit for every number that is given back in this cycle. One take and any number
    of frees per cycle. A number given back can be taken again in the next cycle.
    """

    def __init__(self, count: int):
        self.count = count
        super().__init__({
            "number": Out(clog2(count)), "available": Out(1, init=1), "take": In(1), "free": In(count),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        taken = Signal(self.count)
        left = Signal(self.count)               # taken, and not given back now
        following = Signal(clog2(self.count))
        m.d.comb += [following.eq(next_in_ring(self.number, self.count)), left.eq(taken & ~self.free)]
        m.d.sync += [taken.eq(left), self.available.eq(~left.bit_select(self.number, 1))]
        with m.If(self.take):
            m.d.sync += [
                taken.eq(left | (Const(1, self.count) << self.number)[:self.count]), self.number.eq(following),
                self.available.eq(~left.bit_select(following, 1)),
            ]
        contract(m, self.available & ~taken.bit_select(self.number, 1), "a number is taken only while it is free",
                 when=self.take)
        contract(m, (self.free & ~taken) == 0, "only taken numbers are given back")
        return m


def one_bit(valid, number, count: int):
    """Bit `number` of `count`, if `valid`: what one number gives to `free`."""
    return Mux(valid, (Const(1, count) << number)[:count], 0)


def gang_bits(m: Module, valid, first, gang, count: int, most: int, name: str) -> Signal:
    """Bits first … first + gang − 1 (modulo `count`) of `count`, if `valid`; `gang` is at most `most`."""
    bits = Signal(count, name=name)
    members = Signal(most, name=f"{name}_members")
    m.d.comb += members.eq(((Const(1, most + 1) << gang) - 1)[:most])
    wide = Signal(2 * count, name=f"{name}_wide")
    m.d.comb += [wide.eq((members << first)[:2 * count]), bits.eq(Mux(valid, wide[:count] | wide[count:], 0))]
    return bits

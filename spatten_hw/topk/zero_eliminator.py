"""Closes the gaps in a row: a prefix sum of zeros drives a log2(n)-stage shifter (SpAtten, Figure 12)."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2
from ..primitives.registers import payload_register
from ..primitives.widths import narrow
from .prefix_sum import PrefixSum


class ZeroEliminator(wiring.Component):
    """Moves the elements whose `keep` bit is set to lanes 0 … count − 1, in order; the rest is don't-care.

    Two pipeline registers, both advancing while `enable`: `dense` and `count` belong to the `elements`
    and `keep` of `LATENCY` = 2 enabled cycles before, `count_early` to those of 1 before. One row per cycle.
    """

    LATENCY = 2

    enable: Signal
    elements: data.View
    keep: Signal
    dense: data.View
    count: Signal
    count_early: Signal

    def __init__(self, width: int, lanes: int):
        self.width = width
        self.lanes = lanes
        row = data.ArrayLayout(unsigned(width), lanes)
        super().__init__({
            "enable": In(1), "elements": In(row), "keep": In(lanes),
            "dense": Out(row), "count": Out(lanes.bit_length()), "count_early": Out(lanes.bit_length()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, levels = self.lanes, clog2(self.lanes)
        m.submodules.zeros = zeros = PrefixSum(lanes)
        m.d.comb += zeros.bits.eq(~self.keep)

        # First register: elements with the distance each has to move down.
        count = Signal(lanes.bit_length())
        element = [Signal(self.width, name=f"element_{j}", reset_less=True) for j in range(lanes)]
        move = [Signal(levels, name=f"move_{j}", reset_less=True) for j in range(lanes)]
        with m.If(self.enable):
            m.d.sync += count.eq(lanes - zeros.total)
            for j in range(lanes):
                # A lane has at most lanes − 1 zeros before it: `levels` bits hold that.
                m.d.sync += [element[j].eq(self.elements[j]), move[j].eq(narrow(zeros.ahead[j], levels))]
        m.d.comb += self.count_early.eq(count)

        closed = close_gaps(m, element, move)
        dense = payload_register(m, self.dense, "dense_row")
        with m.If(self.enable):
            m.d.sync += self.count.eq(count)
            m.d.sync += [dense[j].eq(closed[j]) for j in range(lanes)]
        return m


def close_gaps(m: Module, elements: list[Signal], move: list[Signal]) -> list[Signal]:
    """`elements`, each moved down by `move` lanes (how many dropped ones are before it): log2(lanes) multiplexers.

    Smallest step first: at least as many gaps lie between two kept elements as their distances differ by, so no
    step makes two of them meet. The distances do not move with the elements. After an element of distance z has moved
    by the low bits of z, the distance of its new lane is at most z and at least z less these bits: its high bits are
    those of z. Live bits are not needed: a dropped element never moves onto a kept one.
    """
    lanes = len(elements)
    for b in range(clog2(lanes)):
        step = 1 << b
        moved = []
        for j in range(lanes):
            if j + step >= lanes:
                moved.append(elements[j])
                continue
            out = Signal(len(elements[j]), name=f"shifted_{step}_{j}")
            m.d.comb += out.eq(Mux(move[j + step][b], elements[j + step], elements[j]))
            moved.append(out)
        elements = moved
    return elements

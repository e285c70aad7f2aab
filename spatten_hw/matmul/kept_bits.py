"""Which probabilities are kept: a bit per item, row and slice, read for all members of a gang at once."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..primitives.pipeline import Pipeline
from ..primitives.registers import NO_COLLISIONS
from ..primitives.widths import wrap


class KeptBits(wiring.Component):
    """Memory of S kept bits and the bit `refetched` per item and row, written by item, read by gang.

    The members of a gang are consecutive items, so as many banks as a gang has members at most, item modulo banks,
    are read together without a conflict.

    write, item, row, bits, refetched: one row of an item per cycle.
    read, first, read_row: row `read_row` of items first + i (modulo `items`), i < max_group. One cycle later and until
        the next `read`: bit i of `members[s]` is that of slice s, bit i of `members_refetched` that of the item;
        bits of items that are not in the gang are what the memory holds.
    Latency 1 cycle, one row per cycle. A row is not read in the cycle it is written in.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "write": In(1), "item": In(c.item_bits), "row": In(c.row_bits), "bits": In(c.slices), "refetched": In(1),
            "read": In(1), "first": In(c.item_bits), "read_row": In(c.row_bits),
            "members": Out(data.ArrayLayout(unsigned(c.max_group), c.slices)),
            "members_refetched": Out(c.max_group),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        low = clog2(c.max_group)
        banks = 1 << low
        upper = c.item_bits - low  # max_group ≤ slots < items: at least one bit
        first_low = self.first[:low]
        turn = Pipeline(m, self.read).delay(first_low, 1, "turn")
        words = []
        for b in range(banks):
            m.submodules[f"bank{b}"] = bank = Memory(
                shape=unsigned(c.slices + 1), depth=1 << (upper + c.row_bits), init=[], attrs=NO_COLLISIONS)
            w, r = bank.write_port(), bank.read_port(transparent_for=())
            # Items before the first one in its line of banks are those of the next line.
            line = wrap(self.first[low:] + (first_low > b if b < banks - 1 else 0), upper)
            m.d.comb += [
                w.addr.eq(Cat(self.row, self.item[low:])), w.data.eq(Cat(self.bits, self.refetched)),
                w.en.eq(self.write & (self.item[:low] == b)),
                r.addr.eq(Cat(self.read_row, line)), r.en.eq(self.read),
            ]
            words.append(r.data)
        for step in range(low):
            turned = []
            for n in range(banks):
                word = Signal(c.slices + 1, name=f"turned{step}_{n}")
                m.d.comb += word.eq(Mux(turn[step], words[(n + (1 << step)) % banks], words[n]))
                turned.append(word)
            words = turned
        m.d.comb += [self.members[s].eq(Cat(words[i][s] for i in range(c.max_group))) for s in range(c.slices)]
        m.d.comb += self.members_refetched.eq(Cat(words[i][c.slices] for i in range(c.max_group)))
        return m

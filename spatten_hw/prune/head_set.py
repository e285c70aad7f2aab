"""The surviving K/V heads: a bitmap in registers."""

from __future__ import annotations

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract

#: Bits of a word of the saved bitmap.
WORD_BITS = 64


class HeadSet(wiring.Component):
    """`restart`: heads 0 … `heads` − 1 survive; `forget`: none; `drop`: `dropped` does not. `load`: word `load_word` of
    the bitmap becomes `load_bits`; `load_total` sets how many survive. `fits`: all are below `heads`, a cycle later.
    `range`: heads below `heads`, a cycle later.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.words = -(-c.max_heads // WORD_BITS)
        super().__init__({
            "heads": In(c.max_heads.bit_length()), "restart": In(1), "forget": In(1),
            "drop": In(1), "dropped": In(c.head_bits),
            "load": In(1), "load_word": In(range(max(2, self.words))), "load_bits": In(WORD_BITS),
            "load_total": In(1), "total": In(c.max_heads.bit_length()),
            "alive": Out(c.max_heads), "count": Out(c.max_heads.bit_length()), "range": Out(c.max_heads),
            "fits": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.d.sync += [self.range.eq(Cat(h < self.heads for h in range(c.max_heads))),
                     self.fits.eq((self.alive & ~self.range) == 0)]
        with m.If(self.drop):
            m.d.sync += [self.alive.eq(self.alive & ~(1 << self.dropped)[:c.max_heads]), self.count.eq(self.count - 1)]
        for n in range(self.words):
            with m.If(self.load & (self.load_word == n)):
                part = self.alive[n * WORD_BITS:(n + 1) * WORD_BITS]
                m.d.sync += part.eq(self.load_bits[:len(part)])
        with m.If(self.load_total):
            m.d.sync += self.count.eq(self.total)
        with m.If(self.restart):
            m.d.sync += [self.alive.eq(Cat(h < self.heads for h in range(c.max_heads))), self.count.eq(self.heads)]
        with m.If(self.forget):
            m.d.sync += [self.alive.eq(0), self.count.eq(0)]
        contract(m, self.count > 1, "one head is kept at least", when=self.drop)
        return m

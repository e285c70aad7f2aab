"""A small design that has one of every kind of site that mutants are made of, in two lanes."""

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Toy(wiring.Component):
    """`sum` = the greater of `a` and `b`, plus 3, if `enable`; `count` counts the cycles in which a < b, from 5 back to
    0; in others `held` takes `a` if `enable`; nothing ever leaves by `o`."""

    def __init__(self):
        super().__init__({"a": In(4), "b": In(4), "enable": In(1), "sum": Out(6), "count": Out(3), "both": Out(2),
                          "held": Out(4), "o": Out(stream.Signature(1))})

    def elaborate(self, platform) -> Module:
        m = Module()
        greater = Signal(unsigned(4))
        m.d.comb += greater.eq(Mux(self.a < self.b, self.b, self.a))
        with m.If(self.enable):
            m.d.comb += self.sum.eq(greater + 3)
        with m.If(self.a < self.b):
            m.d.sync += self.count.eq(self.count + 1)
            with m.If(self.count == 5):
                m.d.sync += self.count.eq(0)
        with m.Elif(self.enable):
            m.d.sync += self.held.eq(self.a)
        for lane in range(2):
            m.d.comb += self.both[lane].eq(self.a[lane] & self.b[lane])
        return m

"""Several streams into one."""

from __future__ import annotations

from amaranth import Cat, Module, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..primitives.one_hot import one_hot_mux
from .arbiter import RoundRobin
from .skid import SkidBuffer


class StreamMerge(wiring.Component):
    """Payloads of `n` streams `i` in turn (round robin) → `o`; one per cycle, latency 1 cycle, every path is cut but
    that from the inputs' `valid` to their `ready`. With n = 1 it is only a register stage."""

    i: list[stream.Interface]
    o: stream.Interface

    def __init__(self, shape: ShapeLike, n: int):
        self.shape = shape
        self.n = n
        super().__init__({"i": In(stream.Signature(shape)).array(n), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.out = out = SkidBuffer(self.shape)
        m.submodules.turn = turn = RoundRobin(self.n)
        connect(m, out.o, flipped(self.o))
        m.d.comb += [
            turn.requests.eq(Cat(port.valid for port in self.i)), turn.advance.eq(out.i.ready),
            out.i.valid.eq(turn.any),
            Value.cast(out.i.payload).eq(one_hot_mux(turn.grant, [Value.cast(port.payload) for port in self.i])),
        ]
        m.d.comb += [port.ready.eq(turn.grant[n] & out.i.ready) for n, port in enumerate(self.i)]
        return m

"""Batcher's sorter as hardware, for its gates: the whole network, a register after every stage."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .batcher import network


class BatcherSorter(wiring.Component):
    """Sorts n keys of `key_bits` bits, n a power of two: a vector per cycle, latency: the number of stages.

    `i`, `o`: all keys of a vector at once (array, ascending at `o`). A vector moves on when what is before it does:
    `o.ready` stops the whole pipeline.
    """

    def __init__(self, key_bits: int, n: int):
        self.key_bits, self.n = key_bits, n
        self.stages = network(n)
        keys = data.StructLayout({"keys": data.ArrayLayout(unsigned(key_bits), n)})
        super().__init__({"i": In(stream.Signature(keys)), "o": Out(stream.Signature(keys))})

    def elaborate(self, platform) -> Module:
        m = Module()
        go = Signal()
        valid, keys = self.i.valid, [self.i.p.keys[k] for k in range(self.n)]
        for number, stage in enumerate(self.stages):
            after = [Signal(self.key_bits, name=f"keys{number}_{k}", reset_less=True) for k in range(self.n)]
            there = Signal(name=f"valid{number}")
            swapped = {}
            for low, high in stage:
                more = Signal(name=f"more{number}_{low}")
                m.d.comb += more.eq(keys[low] > keys[high])
                swapped[low] = Mux(more, keys[high], keys[low])
                swapped[high] = Mux(more, keys[low], keys[high])
            with m.If(go):
                m.d.sync += [there.eq(valid), *(after[k].eq(swapped.get(k, keys[k])) for k in range(self.n))]
            valid, keys = there, after
        m.d.comb += [go.eq(self.o.ready | ~valid), self.i.ready.eq(go), self.o.valid.eq(valid),
                     *(self.o.p.keys[k].eq(keys[k]) for k in range(self.n))]
        return m

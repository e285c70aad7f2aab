"""Joins rows of S probabilities to rows of P keys for the top-k engine."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig
from ..contract import contract
from ..stream.layouts import key_row, prob_row
from ..stream.skid import SkidBuffer


class WideRows(wiring.Component):
    """`parts` = P / S rows of `i` make one of `o`, fewer at a vector's end; what is missing is dead.

    Keys keep their order: by row, then by slice. One row of `i` per cycle, `LATENCY` cycles from the row that completes
    a wide one to `o`. `o` and `i.ready` come from registers (the engine's `ready` comes too late in a cycle to
    reach the softmax).
    """

    LATENCY = 1 + SkidBuffer.LATENCY

    #: How many keys to keep of a vector; constant during a job.
    k: Signal
    #: Probabilities, `prob_row`.
    i: stream.Interface
    #: Keys, `key_row`.
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = config
        self.parts = config.topk_lanes // config.slices
        super().__init__({
            "k": In(config.count_bits),
            "i": In(stream.Signature(prob_row(config))),
            "o": Out(stream.Signature(key_row(config.topk_lanes, PROB_BITS, config.count_bits))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, row = self.config.slices, self.i.p
        m.submodules.out = out = SkidBuffer(self.o.p.shape())
        wiring.connect(m, out.o, wiring.flipped(self.o))
        wide = Signal(self.o.p.shape(), reset_less=True)
        wide_valid = Signal()
        part = Signal(range(max(2, self.parts)))
        full = Signal()
        takes = Signal()
        m.d.comb += [
            full.eq(row.last | (part == self.parts - 1)),
            # While a complete wide row waits, not even a first part may be written over it.
            self.i.ready.eq(~wide_valid | out.i.ready), takes.eq(self.i.valid & self.i.ready),
            out.i.valid.eq(wide_valid), out.i.payload.eq(wide),
        ]
        with m.If(out.i.ready):
            m.d.sync += wide_valid.eq(0)
        with m.If(takes):
            m.d.sync += [
                wide_valid.eq(full), part.eq(Mux(full, 0, part + 1)), wide.last.eq(row.last), wide.k.eq(self.k),
            ]
        for p in range(self.parts):
            lane = slice(p * lanes, (p + 1) * lanes)
            with m.If(takes & (part == p)):
                m.d.sync += wide.live[lane].eq(row.live)
                m.d.sync += [wide.keys[p * lanes + s].eq(row.probs[s]) for s in range(lanes)]
            with m.Elif(takes & (part == 0)):
                m.d.sync += wide.live[lane].eq(0)
        contract(m, out.i.ready | ~wide_valid, "a wide row that waits is not written over", when=takes)
        return m

"""Bursts of a memory port to single beats, for memories that take one access at a time."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.bus.axi import LEN_BITS, ar_layout, aw_layout, w_layout
from spatten_hw.config import SpAttenConfig, clog2
from spatten_hw.stream.skid import SkidBuffer


def beat_layout(c: SpAttenConfig) -> data.StructLayout:
    """One beat: `write` or read, number of the `beat` in memory, `data` and `strb` of a write, burst's `id`, `last`."""
    return data.StructLayout({
        "data": unsigned(c.axi_data_bits), "strb": unsigned(c.beat_bytes),
        "beat": unsigned(c.axi_addr_bits - clog2(c.beat_bytes)), "id": unsigned(c.id_bits), "last": 1, "write": 1,
    })


class BurstWalker(wiring.Component):
    """Takes read and write bursts in turn; their beats, in order, go to `o`, a skid buffer: 1 a cycle, latency 2."""

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "ar": In(stream.Signature(ar_layout(c))), "aw": In(stream.Signature(aw_layout(c))),
            "w": In(stream.Signature(w_layout(c))), "o": Out(stream.Signature(beat_layout(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.skid = skid = SkidBuffer(beat_layout(c))
        wiring.connect(m, skid.o, wiring.flipped(self.o))
        active = Signal()
        write = Signal()
        beat = Signal(c.axi_addr_bits - clog2(c.beat_bytes))
        left = Signal(LEN_BITS)
        ident = Signal(c.id_bits)
        moves = Signal()
        free = Signal()
        take_write = Signal()
        out = skid.i.payload
        m.d.comb += [
            skid.i.valid.eq(active & (~write | self.w.valid)), moves.eq(skid.i.valid & skid.i.ready),
            self.w.ready.eq(active & write & skid.i.ready), out.last.eq(left == 0),
            out.data.eq(self.w.payload.data), out.strb.eq(self.w.payload.strb), out.beat.eq(beat), out.id.eq(ident),
            out.write.eq(write), free.eq(~active | (moves & (left == 0))),
            # The other kind than the last one first.
            take_write.eq(self.aw.valid & (~write | ~self.ar.valid)),
            self.aw.ready.eq(free & take_write), self.ar.ready.eq(free & ~take_write),
        ]
        with m.If(moves):
            m.d.sync += [beat.eq(beat + 1), left.eq(left - 1)]
        with m.If(free):
            m.d.sync += active.eq(self.aw.valid | self.ar.valid)
            with m.If(self.aw.valid | self.ar.valid):
                for field, target in (("len", left), ("id", ident)):
                    m.d.sync += target.eq(Mux(take_write, getattr(self.aw.payload, field),
                                              getattr(self.ar.payload, field)))
                m.d.sync += [write.eq(take_write),
                             beat.eq(Mux(take_write, self.aw.payload.addr, self.ar.payload.addr)
                                     >> clog2(c.beat_bytes))]
        return m

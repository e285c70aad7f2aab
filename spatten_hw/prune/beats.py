"""64-bit words to write beats of any data width."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..stream.layouts import out_beat

WORD_BITS = 64


class BeatPacker(wiring.Component):
    """Packs the words of a section into consecutive beats from `addr` on (taken at `start`, while idle; channel number
    above the channel-local address, which does not wrap within a section).

    Beats of 64 bits and more hold the words in order from bit 0; strobes mark a section's last beat if it is
    partial. A 32-bit beat holds half a word, low half first. Rate: one word per cycle, or one beat per
    cycle for 32-bit beats. `idle`: no beat waits and no word is held back.
    """

    words: stream.Interface
    beats: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "start": In(1), "addr": In(c.addr_bits), "idle": Out(1),
            "words": In(stream.Signature(data.StructLayout({"data": WORD_BITS, "last": 1}))),
            "beats": Out(stream.Signature(out_beat(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        width, word = c.axi_data_bits, self.words.p
        out = self.beats.p
        taken = Signal()
        accept = Signal()
        addr = Signal(c.addr_bits)
        m.d.comb += [
            out.kind.eq(1), out.addr.eq(addr[:c.axi_addr_bits]), out.channel.eq(addr[c.axi_addr_bits:]),
            taken.eq(self.beats.valid & self.beats.ready), accept.eq(self.words.valid & self.words.ready),
        ]
        with m.If(taken):
            m.d.sync += addr.eq(addr + c.beat_bytes)
        with m.If(self.start):
            m.d.sync += addr.eq(self.addr)

        contract(m, self.idle, "a section starts when the one before has left", when=self.start)
        if width < WORD_BITS:
            parts = WORD_BITS // width
            held = Signal(WORD_BITS)
            left = Signal(range(parts + 1))
            section_last = Signal()
            m.d.comb += [
                self.idle.eq(left == 0), self.beats.valid.eq(left != 0),
                self.words.ready.eq((left == 0) | ((left == 1) & self.beats.ready)),
                out.data.eq(held[:width]), out.strobe.eq(~0), out.last.eq(section_last & (left == 1)),
            ]
            with m.If(taken):
                m.d.sync += [held.eq(held >> width), left.eq(left - 1)]
            with m.If(accept):
                m.d.sync += [held.eq(word.data), left.eq(parts), section_last.eq(word.last)]
            return m

        slots = width // WORD_BITS
        slot = Signal(max(1, clog2(slots)))
        full = Signal()
        beat_end = Signal()
        m.d.comb += [
            self.idle.eq(~full & (slot == 0)), self.beats.valid.eq(full),
            self.words.ready.eq(~full | self.beats.ready),
            beat_end.eq(word.last | (slot == slots - 1)),
        ]
        with m.If(taken):
            m.d.sync += full.eq(0)
        with m.If(accept):
            m.d.sync += [full.eq(beat_end), slot.eq(Mux(beat_end, 0, slot + 1)), out.last.eq(word.last)]
            for k in range(slots):
                part = slice(k * WORD_BITS, (k + 1) * WORD_BITS)
                mask = slice(k * WORD_BITS // 8, (k + 1) * WORD_BITS // 8)
                with m.If(slot == k):
                    m.d.sync += [out.data[part].eq(word.data), out.strobe[mask].eq(0xff)]
                with m.Elif(slot == 0):
                    m.d.sync += [out.data[part].eq(0), out.strobe[mask].eq(0)]
        return m

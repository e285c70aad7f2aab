"""Writes the survivor bitmaps or the importance to memory as 64-bit words (docs/architecture.md, "Memory")."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..stream.layouts import out_beat
from .beats import WORD_BITS, BeatPacker
from .rows import bitmap_row, head_total, serial_total


class StateStore(wiring.Component):
    """`start` with `ids` = 1 stores the bitmaps at `addr`, else the importance; `done` pulses at the end.

    Bitmaps begin with a header word of `alive_tokens` and `alive_heads`; then come the rows of `bitmap`, bit i of
    word w is token 64·w + i, then ceil(`heads` / 64) words of `heads_alive`. Importance: `token_totals`, then
    `head_totals`, each up to its `last`, a word each. At most one word per cycle into beats on `state`; `done` once
    the last is taken.
    """

    bitmap: stream.Interface
    token_totals: stream.Interface
    head_totals: stream.Interface
    state: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "start": In(1), "ids": In(1), "addr": In(c.addr_bits), "done": Out(1),
            "alive_tokens": In(c.count_bits), "alive_heads": In(c.max_heads.bit_length()),
            "heads": In(c.max_heads.bit_length()), "heads_alive": In(c.max_heads),
            "bitmap": In(stream.Signature(bitmap_row(c))),
            "token_totals": In(stream.Signature(serial_total(c))),
            "head_totals": In(stream.Signature(head_total(c))),
            "state": Out(stream.Signature(out_beat(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.beats = beats = BeatPacker(c)
        words = beats.words
        rows_per_word = WORD_BITS // c.slices
        slot = Signal(range(max(2, rows_per_word)))
        word = Signal(WORD_BITS, reset_less=True)
        full = Signal()
        rows_done = Signal()
        b, t, h = self.bitmap, self.token_totals, self.head_totals
        head_words = -(-c.max_heads // WORD_BITS)
        padded = Cat(self.heads_alive, Const(0, head_words * WORD_BITS - c.max_heads))
        parts = Array([padded[n * WORD_BITS:(n + 1) * WORD_BITS] for n in range(head_words)])
        head_word = Signal(range(max(2, head_words)))
        m.d.comb += [
            beats.start.eq(self.start), beats.addr.eq(self.addr),
            self.state.valid.eq(beats.beats.valid), self.state.payload.eq(beats.beats.payload),
            beats.beats.ready.eq(self.state.ready),
        ]
        with m.FSM(name="store") as fsm:
            with m.State("IDLE"):
                m.d.sync += [slot.eq(0), full.eq(0), rows_done.eq(0), head_word.eq(0)]
                with m.If(self.start & self.ids):
                    m.next = "HEADER"
                with m.Elif(self.start):
                    m.next = "TOKENS"
            with m.State("HEADER"):
                m.d.comb += [words.valid.eq(1), words.p.data[:32].eq(self.alive_tokens),
                             words.p.data[32:].eq(self.alive_heads)]
                with m.If(words.ready):
                    m.next = "BITMAP"
            with m.State("BITMAP"):
                m.d.comb += [b.ready.eq(~full), words.valid.eq(full), words.p.data.eq(word)]
                with m.If(b.valid & b.ready):
                    ends = b.p.last | (slot == rows_per_word - 1)
                    m.d.sync += [full.eq(ends), slot.eq(Mux(ends, 0, slot + 1)), rows_done.eq(b.p.last)]
                    for n in range(rows_per_word):
                        part = word[n * c.slices:(n + 1) * c.slices]
                        with m.If(slot == n):
                            m.d.sync += part.eq(b.p.bits)
                        with m.Elif(slot == 0):
                            m.d.sync += part.eq(0)
                with m.If(full & words.ready):
                    m.d.sync += full.eq(0)
                    with m.If(rows_done):
                        m.next = "HEAD_BITMAP"
            with m.State("HEAD_BITMAP"):
                last = ((head_word + 1) << 6) >= self.heads
                m.d.comb += [words.valid.eq(1), words.p.data.eq(parts[head_word]), words.p.last.eq(last)]
                with m.If(words.ready):
                    m.d.sync += head_word.eq(head_word + 1)
                    with m.If(last):
                        m.next = "FLUSH"
            with m.State("TOKENS"):
                m.d.comb += [words.valid.eq(t.valid), t.ready.eq(words.ready), words.p.data.eq(t.p.total)]
                with m.If(t.valid & words.ready & t.p.last):
                    m.next = "HEADS"
            with m.State("HEADS"):
                m.d.comb += [words.valid.eq(h.valid), h.ready.eq(words.ready), words.p.last.eq(h.p.last),
                             words.p.data.eq(h.p.total)]
                with m.If(h.valid & words.ready & h.p.last):
                    m.next = "FLUSH"
            with m.State("FLUSH"):
                with m.If(beats.idle):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        contract(m, fsm.ongoing("IDLE"), "a store starts when the one before is done", when=self.start)
        contract(m, (self.alive_tokens != 0) & (self.alive_heads != 0), "survivors that are stored are not none",
                 when=self.start & self.ids)
        return m

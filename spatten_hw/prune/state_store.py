"""Writes the survivor list or the importance to memory as 64-bit words (docs/architecture.md, "Memory")."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..stream.layouts import out_beat
from .beats import BeatPacker
from .rows import head_total, total_row


class StateStore(wiring.Component):
    """`start` with `ids` = 1 stores the survivor list at `addr`, else the importance; `done` pulses at the end.

    The list begins with a header word of `alive_tokens` and `alive_heads`; then come the ids (totals)
    of `token_totals`, then the head numbers (totals) of `head_totals`, each up to its `last`. One word per
    cycle into beats on `state`; `done` once the last beat is taken.
    """

    token_totals: stream.Interface
    head_totals: stream.Interface
    state: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "start": In(1), "ids": In(1), "addr": In(c.addr_bits), "done": Out(1),
            "alive_tokens": In(c.count_bits), "alive_heads": In(c.max_heads.bit_length()),
            "token_totals": In(stream.Signature(total_row(c))),
            "head_totals": In(stream.Signature(head_total(c))),
            "state": Out(stream.Signature(out_beat(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.beats = beats = BeatPacker(c)
        words = beats.words
        ids = Signal()
        lane = Signal(max(1, clog2(c.lanes)))
        t, h = self.token_totals, self.head_totals
        lane_id = Array([t.p.ids[i] for i in range(c.lanes)])[lane]
        lane_total = Array([t.p.totals[i] for i in range(c.lanes)])[lane]
        row_end = Signal()
        m.d.comb += [
            row_end.eq(lane == t.p.count - 1),
            beats.start.eq(self.start), beats.addr.eq(self.addr),
            self.state.valid.eq(beats.beats.valid), self.state.payload.eq(beats.beats.payload),
            beats.beats.ready.eq(self.state.ready),
        ]
        with m.FSM(name="store") as fsm:
            with m.State("IDLE"):
                m.d.sync += [ids.eq(self.ids), lane.eq(0)]
                with m.If(self.start & self.ids):
                    m.next = "HEADER"
                with m.Elif(self.start):
                    m.next = "TOKENS"
            with m.State("HEADER"):
                m.d.comb += [words.valid.eq(1), words.p.data[:32].eq(self.alive_tokens),
                             words.p.data[32:].eq(self.alive_heads)]
                with m.If(words.ready):
                    m.next = "TOKENS"
            with m.State("TOKENS"):
                m.d.comb += [words.valid.eq(t.valid), t.ready.eq(words.ready & row_end)]
                with m.If(ids):
                    m.d.comb += words.p.data.eq(lane_id)
                with m.Else():
                    m.d.comb += words.p.data.eq(lane_total)
                with m.If(words.valid & words.ready):
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(row_end):
                        m.d.sync += lane.eq(0)
                        with m.If(t.p.last):
                            m.next = "HEADS"
            with m.State("HEADS"):
                m.d.comb += [words.valid.eq(h.valid), h.ready.eq(words.ready), words.p.last.eq(h.p.last)]
                with m.If(ids):
                    m.d.comb += words.p.data.eq(Cat(h.p.head))
                with m.Else():
                    m.d.comb += words.p.data.eq(h.p.total)
                with m.If(words.valid & words.ready & h.p.last):
                    m.next = "FLUSH"
            with m.State("FLUSH"):
                with m.If(beats.idle):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        contract(m, fsm.ongoing("IDLE"), "a store starts when the one before is done", when=self.start)
        contract(m, (self.alive_tokens != 0) & (self.alive_heads != 0), "a list that is stored is not empty",
                 when=self.start & self.ids)
        return m

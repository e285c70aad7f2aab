"""Queries of a prompt whose distribution is flat: they come a second time, with LSBs (SpAtten, section III-D)."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.widths import narrow
from ..softmax.rows import decision_notice


def flat_query(c: SpAttenConfig) -> data.StructLayout:
    """Survivor `position` of a flat query; `last` of its query head's."""
    return data.StructLayout({"position": unsigned(c.token_bits), "last": 1})


class FlatQueries(wiring.Component):
    """Lists the flat queries of a query head as they are decided, and then gives them back, in that order.

    `note`: query `note_position` was issued for slot `note_slot`, and will be `decided` (a pulse with `notice`). While
    `issued` (all queries of the query head are issued) either `nothing` is high as soon as all are decided and none is
    flat, or `o` gives each flat one, 3 cycles from the one before, once the LSBs are in the SRAMs: `lsb_wanted` (a
    pulse) asks for them, once until `head_end`; `lsb_ready` says so. `dropped`: a pulse, an item was flat and is gone.
    """

    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "note": In(1), "note_slot": In(c.slot_bits), "note_position": In(c.token_bits),
            "decided": In(1), "notice": In(decision_notice(c)),
            "issued": In(1), "nothing": Out(1), "o": Out(stream.Signature(flat_query(c))), "head_end": In(1),
            "lsb_wanted": Out(1), "lsb_ready": In(1),
            "dropped": Out(1), "dropped_item": Out(c.item_bits), "dropped_half": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, tag = self.config, self.notice.tag
        m.submodules.positions = positions = Memory(shape=unsigned(c.token_bits), depth=c.slots, init=[])
        m.submodules.list = listed = Memory(shape=unsigned(c.token_bits), depth=c.max_tokens, init=[])
        note, look = positions.write_port(), positions.read_port(domain="comb")
        append, at = listed.write_port(), listed.read_port(transparent_for=())
        flats = Signal(c.count_bits)            # in the list
        number = Signal(c.count_bits)           # of the next one to be given back
        undecided = Signal(range(c.slots + 1))
        have_lsb = Signal()                     # the LSBs of this head are in the SRAMs
        drop = Signal()
        # Of block memory, and on its way to the dense list: a register between.
        position = Signal(c.token_bits, reset_less=True)
        m.d.sync += position.eq(at.data)
        m.d.comb += [
            note.addr.eq(self.note_slot), note.data.eq(self.note_position), note.en.eq(self.note),
            look.addr.eq(self.notice.slot), drop.eq(self.decided & self.notice.flat),
            append.addr.eq(narrow(flats, c.token_bits)), append.data.eq(look.data), append.en.eq(drop),
            at.addr.eq(narrow(number, c.token_bits)), at.en.eq(1),
            self.o.payload.position.eq(position), self.o.payload.last.eq(number + 1 == flats),
        ]
        m.d.sync += [
            undecided.eq(undecided + self.note - self.decided), flats.eq(flats + drop),
            self.dropped.eq(drop), self.dropped_item.eq(tag.item), self.dropped_half.eq(tag.half),
        ]
        with m.If(self.head_end):
            m.d.sync += have_lsb.eq(0)
        with m.FSM(name="flat") as fsm:
            with m.State("DECIDE"), m.If(self.issued & (undecided == 0)):
                with m.If(flats == 0):
                    m.d.comb += self.nothing.eq(1)
                with m.Elif(have_lsb):
                    m.next = "LOOK"
                with m.Else():
                    m.d.comb += self.lsb_wanted.eq(1)
                    m.next = "LSBS"
            with m.State("LSBS"), m.If(self.lsb_ready):
                m.d.sync += have_lsb.eq(1)
                m.next = "LOOK"
            with m.State("LOOK"):               # the list is read
                m.next = "HAVE"
            with m.State("HAVE"):
                m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += number.eq(number + 1)
                    m.next = "LOOK"
                    with m.If(self.o.payload.last):
                        m.d.sync += [number.eq(0), flats.eq(0)]
                        m.next = "DECIDE"
        contract(m, (undecided != 0) | self.note, "only vectors that wait are decided", when=self.decided)
        contract(m, flats != c.max_tokens, "no more queries are flat than there are", when=drop)
        contract(m, fsm.ongoing("DECIDE"), "nothing is decided in a second pass", when=self.note | self.decided)
        return m

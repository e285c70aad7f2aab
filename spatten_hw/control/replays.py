"""Queries whose distribution is flat: their LSBs are asked for (SpAtten, section III-D)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..softmax.rows import decision_notice
from ..stream.fifo import StreamFifo
from ..stream.layouts import key_walk_command


class Replays(wiring.Component):
    """Collects decisions (`decided`) until a gang is complete, then asks for the LSBs of its flat members at once.

    Generation: `begin` (with the first item of a gang) precedes the gang's first decision; when all `tag.gang` members
    are decided and some are flat, `walk` has one command for them (`lsb`). A gang's slots are consecutive, as its items
    are. Prompts: positions of flat queries (`note`d by slot when the query is issued) are kept in a list: `flats` of
    them, number `read` is at `position` one cycle later; `clear` empties it. `dropped`: a pulse, an item of a prompt
    was flat and is gone. One decision per cycle, none in the cycle of a `begin`.
    """

    decided: stream.Interface
    walk: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "decided": In(stream.Signature(decision_notice(c))),
            "begin": In(1), "first": In(c.item_bits),
            "walk": Out(stream.Signature(key_walk_command(c))),
            "note": In(1), "note_slot": In(c.slot_bits), "note_position": In(c.token_bits),
            "flats": Out(c.count_bits), "read": In(c.token_bits), "position": Out(c.token_bits), "clear": In(1),
            "dropped": Out(1), "dropped_item": Out(c.item_bits), "dropped_half": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        p = self.decided.payload
        tag = p.tag
        # One entry per gang, under its first item: how many members are decided, and which are flat.
        entry = data.StructLayout({"count": unsigned(c.max_group.bit_length()), "flat": unsigned(c.max_group)})
        m.submodules.gangs = gangs = Memory(shape=entry, depth=c.items, init=[])
        m.submodules.walks = walks = StreamFifo(key_walk_command(c), c.slots)
        write, read = gangs.write_port(), gangs.read_port(domain="comb")
        member = Signal(c.item_bits)
        flat = Signal(c.max_group)
        take = Signal()
        complete = Signal()
        m.d.comb += [
            member.eq((tag.item - tag.first)[:c.item_bits]),
            self.decided.ready.eq(~self.begin), take.eq(self.decided.valid & ~self.begin),
            read.addr.eq(tag.first),
            flat.eq(read.data.flat | Mux(p.flat, (Const(1, c.max_group) << member)[:c.max_group], 0)),
            complete.eq(read.data["count"] + 1 == tag.gang),
            write.addr.eq(Mux(self.begin, self.first, tag.first)), write.en.eq(self.begin | (take & tag.stream)),
        ]
        with m.If(~self.begin):
            m.d.comb += [write.data["count"].eq(read.data["count"] + 1), write.data.flat.eq(flat)]
        m.d.comb += [
            walks.i.valid.eq(take & tag.stream & complete & flat.any()),
            walks.i.p.kv_head.eq(tag.kv_head), walks.i.p.slot.eq((p.slot - member)[:c.slot_bits]),
            walks.i.p.members.eq(flat), walks.i.p.lsb.eq(1),
        ]
        wiring.connect(m, walks.o, wiring.flipped(self.walk))

        # Prompts.
        m.submodules.positions = positions = Memory(shape=unsigned(c.token_bits), depth=c.slots, init=[])
        m.submodules.list = listed = Memory(shape=unsigned(c.token_bits), depth=c.max_tokens, init=[])
        note, look = positions.write_port(), positions.read_port(domain="comb")
        append, at = listed.write_port(), listed.read_port(transparent_for=())
        drop = Signal()
        m.d.comb += [
            note.addr.eq(self.note_slot), note.data.eq(self.note_position), note.en.eq(self.note), look.addr.eq(p.slot),
            drop.eq(take & p.flat & ~tag.stream),
            append.addr.eq(self.flats[:c.token_bits]), append.data.eq(look.data), append.en.eq(drop),
            at.addr.eq(self.read), at.en.eq(1), self.position.eq(at.data),
        ]
        m.d.sync += [self.dropped.eq(drop), self.dropped_item.eq(tag.item), self.dropped_half.eq(tag.half)]
        with m.If(self.clear):
            m.d.sync += self.flats.eq(0)
        with m.Elif(drop):
            m.d.sync += self.flats.eq(self.flats + 1)
        contract(m, walks.i.ready, "there is room for a walk of every gang", when=walks.i.valid)
        contract(m, read.data["count"] < tag.gang, "a gang has no more decisions than members", when=take & tag.stream)
        contract(m, self.flats != c.max_tokens, "no more queries are flat than there are", when=drop)
        contract(m, ~drop, "the list is emptied when it is not in use", when=self.clear)
        return m


def members_of(c: SpAttenConfig, gang):
    """A bit for each of `gang` members."""
    return Cat(n < gang for n in range(c.max_group))

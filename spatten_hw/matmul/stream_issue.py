"""K rows of generation: every chunk once for each member of the gang."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, at_most_one, contract
from ..primitives.one_hot import lowest_set, one_hot_index, without_lowest
from ..primitives.pipeline import PART, copies
from ..primitives.widths import wrap
from ..stream.read_layouts import key_note, operand_chunk
from .issue import issue_layout


class StreamIssue(wiring.Component):
    """Holds a K chunk and issues it for the members of its row, lowest first, one per cycle.

    i: rows whole, members not 0. `ready` is a register. The next chunk is taken in the cycle of the last issue of the
        one before: no gap. First issue one cycle after the chunk was taken if q of all members is there.
    there: slots whose q is stored. It only goes while nothing of that slot is here.
    o: always taken. `data`: the chunk of the issue, valid in the cycle after it.
    starved: a chunk waits for q, or a row has begun and its next chunk is not here.
    """

    i: stream.Interface
    there: Signal
    o: stream.Interface
    data: Signal
    busy: Signal
    starved: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "i": In(stream.Signature(operand_chunk(c, key_note(c)))),
            "there": In(c.slots),
            "o": Out(stream.Signature(issue_layout(c))),
            "data": Out(c.chunk * c.operand_bits),
            "busy": Out(1),
            "starved": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        now = self.i.p
        note = now.note

        full = Signal()
        go = Signal()  # `pick` is issued in this cycle
        room = Signal()  # nothing is held, or its last issue is in this cycle
        pick = Signal(c.max_group, reset_less=True)  # one-hot
        beyond = Signal(c.max_group, reset_less=True)  # members after `pick`
        first_slot = Signal(c.slot_bits, reset_less=True)
        issue = Signal(issue_layout(c), reset_less=True)

        # Everything is decided a cycle ahead, so that issue and ready are registers.
        next_full = Signal()
        next_go = Signal()
        next_room = Signal()
        next_members = Signal(c.max_group)
        next_pick = Signal(c.max_group)
        next_beyond = Signal(c.max_group)
        next_first = Signal(c.slot_bits)
        gang_there = Signal(c.max_group)
        m.d.comb += [
            next_full.eq(~room | self.i.valid),
            next_members.eq(Mux(room, note.members, Mux(go, beyond, pick | beyond))),
            next_pick.eq(lowest_set(next_members)),
            next_beyond.eq(without_lowest(next_members)),
            next_first.eq(Mux(room, note.slot, first_slot)),
            # The slots of a gang are consecutive, modulo `slots`.
            gang_there.eq((Cat(self.there, self.there) >> next_first)[:c.max_group]),
            next_go.eq(next_full & (gang_there | ~next_members).all()),
            next_room.eq(~next_full | (next_go & (next_beyond == 0))),
        ]
        room_copies = copies(m, next_room, 1 + -(-c.chunk // PART), "room_copy", init=1)
        m.d.comb += room.eq(room_copies[0])
        m.d.sync += [
            full.eq(next_full), go.eq(next_go), pick.eq(next_pick), beyond.eq(next_beyond), first_slot.eq(next_first),
            issue.place.slot.eq(wrap(next_first + one_hot_index(next_pick), c.slot_bits)),
            issue.place.member.eq(one_hot_index(next_pick)),
        ]
        within = Signal(name="within_row")  # the row of the last chunk that came has more
        with m.If(room):
            m.d.sync += [
                issue.chunk.eq(now.chunk), issue.place.row.eq(note.row), issue.place.replay.eq(note.lsb),
                issue.place.first.eq(now.chunk == 0), issue.place.last.eq(now.last),
                issue.place.alone.eq(next_beyond == 0),
            ]
            with m.If(self.i.valid):
                m.d.sync += within.eq(~now.last)

        held = Signal(c.chunk * c.operand_bits, reset_less=True)
        used = Signal(c.chunk * c.operand_bits, reset_less=True)
        for n, free in enumerate(room_copies[1:]):
            part = slice(n * PART * c.operand_bits, min((n + 1) * PART, c.chunk) * c.operand_bits)
            with m.If(free):
                m.d.sync += held[part].eq(now.data[part])
        # Follows in every cycle: no wide enable.
        m.d.sync += used.eq(held)
        m.d.comb += [
            self.i.ready.eq(room),
            self.o.valid.eq(go),
            self.o.payload.eq(issue),
            self.data.eq(used),
            self.busy.eq(full | within),
            self.starved.eq((full & ~go) | (within & ~full)),
        ]
        always_taken(m, self.o, "stream issues")
        contract(m, note.members.any(), "a K row has a member", when=self.i.valid)
        contract(m, full | ~go, "only what is here is issued")
        contract(m, at_most_one(pick) & pick.any(), "one member is issued", when=go)
        contract(m, (now.chunk == 0) == ~within, "rows of K are whole", when=self.i.valid)
        contract(m, now.chunk < c.max_chunks, "a row has no more chunks than the longest", when=self.i.valid)
        return m

"""Which complete row of a channel is read out next."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.one_hot import one_hot_mux
from ..primitives.registers import NO_COLLISIONS
from ..stream.arbiter import RoundRobin
from ..stream.fifo import StreamFifo
from ..stream.read_layouts import key_note, value_note
from .read_issue import issued_read
from .row_beat import ReadClass, read_note

#: Complete rows that wait for a slice, from which on more of their class would only take ids from the other. As
#: measured (`generate-1000-by-key-steady` of `eighth`): 1.354 of the bound without, 1.274, 1.244, 1.252 with 4, 12, 24;
#: with 4 `generate-1000` loses 3 %, with 12 nothing. A channel with fewer reads for its slices never has so many.
ENOUGH = 12


def complete_row(c: SpAttenConfig) -> data.StructLayout:
    """A row to be read out: `beats` beats of read `id`, and what it is for."""
    return data.StructLayout({"id": unsigned(c.id_bits), "beats": unsigned(c.beats_bits), "note": read_note(c)})


class RowChoice(wiring.Component):
    """Complete reads → rows to be read out, with their notes.

    A queue of complete reads for shared ones and for K and V rows of each of the channel's slices. Shared rows go
    first; the others take turns, each only if its slice has room: bit s of `k_room` (`v_room`) says that slice s takes
    a whole row more. In the cycle in which a row is chosen, its bit of `k_begun` (`v_begun`) is high; from the next
    cycle on, `k_room` counts that row. One row per cycle; from `completed` to `o` one cycle more than a queue takes.
    """

    #: complete reads; always taken
    completed: stream.Interface
    #: the read that goes out now: its note
    issued: data.View
    #: slices that have room for a whole K (V) row
    k_room: Signal
    v_room: Signal
    #: the slice whose K (V) row has been chosen in this cycle
    k_begun: Signal
    v_begun: Signal
    #: every slice has `ENOUGH` complete K (V) rows and cannot take them as fast as they come
    k_enough: Signal
    v_enough: Signal
    #: rows to be read out
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        n = c.slices_per_channel
        super().__init__({
            "completed": In(stream.Signature(unsigned(c.id_bits))), "issued": In(issued_read(c)),
            "k_room": In(n), "v_room": In(n), "k_begun": Out(n), "v_begun": Out(n),
            "k_enough": Out(1), "v_enough": Out(1),
            "o": Out(stream.Signature(complete_row(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        n = c.slices_per_channel
        issued = self.issued
        # Queue 0: shared reads; 1 … n: K rows of slice 0 …; n + 1 …: V rows.
        key, value = (note(c)(issued.note.bits[:note(c).size]) for note in (key_note, value_note))
        number = Signal(range(2 * n + 1))
        with m.If(issued.note.origin == ReadClass.KEY):
            m.d.comb += number.eq(1 + key.slice)
        with m.Elif(issued.note.origin == ReadClass.VALUE):
            m.d.comb += number.eq(1 + n + value.slice)
        m.submodules.numbers = numbers = memory.Memory(shape=unsigned(len(number)), depth=c.reads, init=[])
        into, from_ = numbers.write_port(), numbers.read_port(domain="comb")
        m.d.comb += [into.addr.eq(issued.id), into.data.eq(number), into.en.eq(issued.valid),
                     from_.addr.eq(self.completed.payload), self.completed.ready.eq(1)]
        queues, levels = [], []
        for q in range(2 * n + 1):
            m.submodules[f"queue{q}"] = queue = StreamFifo(unsigned(c.id_bits), c.reads)
            m.d.comb += [queue.i.payload.eq(self.completed.payload),
                         queue.i.valid.eq(self.completed.valid & (from_.data == q))]
            always_taken(m, queue.i, f"queue {q} of complete reads")
            queues.append(queue.o)
            levels.append(queue.level)

        for enough, of in ((self.k_enough, levels[1:n + 1]), (self.v_enough, levels[n + 1:])):
            m.d.sync += enough.eq(Cat(level >= ENOUGH for level in of).all())

        moves = Signal()
        valid = Signal()
        m.submodules.turns = turns = RoundRobin(2 * n)
        shared = queues[0].valid
        grants = Cat(shared, turns.grant & (~shared).replicate(2 * n))
        m.d.comb += [
            moves.eq(~valid | self.o.ready),
            turns.requests.eq(Cat(queue.valid for queue in queues[1:]) & Cat(self.k_room, self.v_room)),
            turns.advance.eq(moves & ~shared),
            *[queue.ready.eq(grants[q] & moves) for q, queue in enumerate(queues)],
            Cat(self.k_begun, self.v_begun).eq(grants[1:] & moves.replicate(2 * n)),
        ]
        chosen = one_hot_mux(grants, [queue.payload for queue in queues])
        contract(m, ~shared | (turns.grant & grants[1:] == 0), "shared rows go first")

        shape = data.StructLayout({"beats": unsigned(c.beats_bits), "note": read_note(c)})
        m.submodules.notes = notes = memory.Memory(shape=shape, depth=c.reads, init=[], attrs=NO_COLLISIONS)
        note_in, note_out = notes.write_port(), notes.read_port(transparent_for=())
        m.d.comb += [
            note_in.addr.eq(issued.id), note_in.en.eq(issued.valid), note_in.data.beats.eq(issued.beats),
            note_in.data.note.eq(issued.note), note_out.addr.eq(chosen), note_out.en.eq(moves),
        ]
        row = self.o.payload
        with m.If(moves):
            m.d.sync += valid.eq(shared | turns.any)
        chosen_id = Signal(c.id_bits, reset_less=True)
        with m.If(moves):
            m.d.sync += chosen_id.eq(chosen)
        m.d.comb += [self.o.valid.eq(valid), row.id.eq(chosen_id), row.beats.eq(note_out.data.beats),
                     row.note.eq(note_out.data.note)]
        return m

"""Which complete row of a channel is read out next."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.one_hot import one_hot_mux
from ..primitives.registers import NO_COLLISIONS
from ..stream.arbiter import RoundRobin
from ..stream.fifo import StreamFifo
from ..stream.read_layouts import ReadKind, key_note, plane_mode, shared_note, value_note
from .read_issue import issued_read
from .row_step import ReadClass, read_lsb, read_note
from .row_steps import row_start


class RowChoice(wiring.Component):
    """Complete reads → rows to be read out, with note and mode.

    A queue of complete reads for shared ones and for K and V rows of each of the channel's slices. Shared rows go
    first; the others take turns, each only if its slice has room: bit s of `k_room` (`v_room`) says that slice s takes
    a whole row more. In the cycle in which a row is chosen, its bit of `k_begun` (`v_begun`) is high; from the next
    cycle on, `k_room` counts that row. One row per cycle; from `completed` to `o` one cycle more than a queue takes.
    """

    #: complete reads; always taken
    completed: stream.Interface
    #: the read that goes out now: its note
    issued: data.View
    #: the modes of the planes; constant while rows of them are in flight
    k_modes: data.View
    v_modes: data.View
    shared_modes: data.View
    #: slices that have room for a whole K (V) row
    k_room: Signal
    v_room: Signal
    #: the slice whose K (V) row has been chosen in this cycle
    k_begun: Signal
    v_begun: Signal
    #: rows to be read out
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        n = c.slices_per_channel
        super().__init__({
            "completed": In(stream.Signature(unsigned(c.id_bits))), "issued": In(issued_read(c)),
            "k_modes": In(data.ArrayLayout(plane_mode(c), 2)), "v_modes": In(data.ArrayLayout(plane_mode(c), 2)),
            "shared_modes": In(data.ArrayLayout(plane_mode(c), 5)),
            "k_room": In(n), "v_room": In(n), "k_begun": Out(n), "v_begun": Out(n),
            "o": Out(stream.Signature(row_start(c))),
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
        queues = []
        for q in range(2 * n + 1):
            m.submodules[f"queue{q}"] = queue = StreamFifo(unsigned(c.id_bits), c.reads)
            m.d.comb += [queue.i.payload.eq(self.completed.payload),
                         queue.i.valid.eq(self.completed.valid & (from_.data == q))]
            always_taken(m, queue.i, f"queue {q} of complete reads")
            queues.append(queue.o)

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
        self._mode(m)
        return m

    def _mode(self, m: Module) -> None:
        """The mode of the row's plane."""
        c = self.config
        row = self.o.payload
        lsb = read_lsb(c, row.note)
        kind = shared_note(c)(row.note.bits[:shared_note(c).size]).kind
        is_shared = row.note.origin == ReadClass.SHARED
        selects: list[Value] = [(row.note.origin == ReadClass.KEY) & ~lsb, (row.note.origin == ReadClass.KEY) & lsb,
                                (row.note.origin == ReadClass.VALUE) & ~lsb, (row.note.origin == ReadClass.VALUE) & lsb,
                                *[is_shared & (kind == k) for k in ReadKind if k != ReadKind.WORDS]]
        modes = [*(self.k_modes[n] for n in range(2)), *(self.v_modes[n] for n in range(2)),
                 *(self.shared_modes[n] for n in range(5))]
        m.d.comb += [
            row.raw.eq(is_shared & (kind == ReadKind.WORDS)),
            row.mode.as_value().eq(one_hot_mux(selects, [Value.cast(mode) for mode in modes])),
        ]

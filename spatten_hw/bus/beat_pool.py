"""Room for the beats of outstanding reads: any beat may be in any place, so that none is kept for what may come."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken, contract
from ..primitives.registers import NO_COLLISIONS
from ..primitives.widths import narrow, wrap
from ..stream.fifo import StreamFifo
from .axi import r_layout
from .read_issue import issued_read


def pool_beat(c: SpAttenConfig) -> data.StructLayout:
    return data.StructLayout({"data": unsigned(c.axi_data_bits), "error": 1})


class BeatPool(wiring.Component):
    """Beats of the R channel → beats looked up by read and number, each once.

    A beat that comes takes a free place; a table [read][number] says where. Every beat asked for has a place
    (`ReadIssue` counts), so `r` is always taken. `completed`: the last beat of a read has been written; 2 cycles behind
    it. A look-up takes 2 cycles, each of which passes only with `move`: table, then pool. One beat in and one out per
    cycle. For as many cycles after a reset as there are places (or reads), and one more, the free places are listed;
    then `start`.
    """

    #: AXI read data; always taken
    r: stream.Interface
    #: the read that goes out now: how many beats it will have
    issued: data.View
    #: a read is complete
    completed: stream.Interface
    #: look up beat `beat` of read `id`, whose place is free afterwards
    lookup: data.View
    #: look-ups advance in this cycle
    move: Signal
    #: what was looked up two moves before; holds without a move
    o: data.View
    #: a place has become free; start-up has ended
    released: Signal
    start: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "r": In(stream.Signature(r_layout(c))), "issued": In(issued_read(c)),
            "completed": Out(stream.Signature(unsigned(c.id_bits))),
            "lookup": In(data.StructLayout({"valid": 1, "id": unsigned(c.id_bits), "beat": unsigned(c.beats_bits)})),
            "move": In(1), "o": Out(pool_beat(c)), "released": Out(1), "start": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        place_bits = (c.pool_beats - 1).bit_length()
        number_bits = max(1, (c.most_beats - 1).bit_length())    # of a beat in its read

        sweep = Signal(range(max(c.pool_beats, c.reads) + 1))    # start-up
        filling = ~self.start
        listed = Signal()
        m.d.comb += listed.eq(sweep == max(c.pool_beats, c.reads))
        m.d.sync += self.start.eq(listed)
        with m.If(~listed):
            m.d.sync += sweep.eq(sweep + 1)

        beat = Signal(r_layout(c), reset_less=True)
        beat_valid = Signal()
        m.d.comb += self.r.ready.eq(1)
        m.d.sync += [beat.eq(self.r.payload), beat_valid.eq(self.r.valid)]
        always_taken(m, self.r, "read data")
        m.submodules.free = free = StreamFifo(unsigned(place_bits), c.pool_beats)
        m.d.comb += free.o.ready.eq(beat_valid)
        contract(m, free.o.valid & self.start, "there is a free place for every beat", when=beat_valid)

        # Beats of a read that have come, and that will: beats of a burst come in order, and bursts of an id too.
        m.submodules.due = due = memory.Memory(shape=unsigned(c.beats_bits), depth=c.reads, init=[])
        m.submodules.arrived = arrived = memory.Memory(shape=unsigned(number_bits), depth=c.reads, init=[])
        due_in, due_out = due.write_port(), due.read_port(domain="comb")
        number_in, number = arrived.write_port(), arrived.read_port(domain="comb")
        complete = Signal()
        m.d.comb += [
            due_in.addr.eq(self.issued.id), due_in.data.eq(self.issued.beats), due_in.en.eq(self.issued.valid),
            due_out.addr.eq(beat.id), number.addr.eq(beat.id),
            complete.eq(number.data + 1 == due_out.data),
            number_in.addr.eq(Mux(filling, narrow(sweep, c.id_bits), beat.id)),
            number_in.data.eq(Mux(filling | complete, 0, wrap(number.data + 1, number_bits))),
            number_in.en.eq(filling | beat_valid),
        ]
        m.d.sync += [self.completed.valid.eq(beat_valid & complete), self.completed.payload.eq(beat.id)]
        always_taken(m, self.completed, "completed reads")
        contract(m, number.data < due_out.data, "no read is answered with more beats than it asked for",
                 when=beat_valid)
        contract(m, ~complete | beat.last, "a read ends with the end of a burst", when=beat_valid)

        depth = c.reads << number_bits
        m.submodules.places = table = memory.Memory(shape=unsigned(place_bits), depth=depth, init=[],
                                                   attrs=NO_COLLISIONS)
        m.submodules.beats = pool = memory.Memory(shape=pool_beat(c), depth=c.pool_beats, init=[], attrs=NO_COLLISIONS)
        table_in, table_out = table.write_port(), table.read_port(transparent_for=())
        pool_in, pool_out = pool.write_port(), pool.read_port(transparent_for=())
        lookup = self.lookup
        found = Signal()                                         # the table shows a place
        id_bits = (c.reads - 1).bit_length()
        m.d.comb += [
            table_in.addr.eq(Cat(number.data, beat.id[:id_bits])), table_in.data.eq(free.o.payload),
            table_in.en.eq(beat_valid),
            pool_in.addr.eq(free.o.payload), pool_in.en.eq(beat_valid), pool_in.data.data.eq(beat.data),
            pool_in.data.error.eq(beat.resp[1]),
            table_out.addr.eq(Cat(lookup.beat[:number_bits], Const(0, max(0, number_bits - len(lookup.beat))),
                                  lookup.id[:id_bits])),
            table_out.en.eq(self.move), pool_out.addr.eq(table_out.data), pool_out.en.eq(self.move),
            self.o.eq(pool_out.data),
            self.released.eq(filling & (sweep < c.pool_beats) | (found & self.move)),
            free.i.valid.eq(self.released),
            free.i.payload.eq(Mux(filling, narrow(sweep, place_bits), table_out.data)),
        ]
        with m.If(self.move):
            m.d.sync += found.eq(lookup.valid)
        contract(m, free.i.ready, "a free place is always taken back", when=free.i.valid)
        return m

"""Beats of rows → chunks of operands: a buffer, the steps in which its rows are read, the bit-width converter."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.row_beat import row_beat
from ..config import SpAttenConfig
from ..contract import contract, contracts_on
from ..primitives.registers import NO_COLLISIONS
from ..primitives.widths import wrap
from ..stream.fifo import StreamFifo
from ..stream.read_layouts import operand_chunk, plane_mode
from .converter import ChunkConverter
from .row_step import step_command, step_control
from .row_steps import RowSteps

#: Beats in a buffer at least: the same block memory on an FPGA, and no smaller one is worth its decoder on a chip.
LEAST_BEATS = 32
#: Beats of a buffer that are not counted on: whether there is room is known a cycle late.
SPARE_BEATS = 2


def feed_depth(c: SpAttenConfig) -> int:
    """Beats in a buffer, a power of two: room for the longest row while one as long is read, and for the rows under
    way at one beat per cycle."""
    return max(LEAST_BEATS, 1 << (2 * c.max_row_beats + SPARE_BEATS - 1).bit_length())


class RowFeed(wiring.Component):
    """Rows, beat by beat (`row_beat`) → operand chunks. Both may stall.

    Rows are stored as they lie in memory; a row of 4 bits that holds several chunks in a beat takes the place of that
    beat, and one step of memory. `ahead` is the note of the next row; `mode` answers in the same cycle how it becomes
    operands. A row's first beats may be used before its last one is there; its beats make room when its last step has
    gone. A beat leaves as (part of) a chunk `LATENCY` = 4 cycles behind its arrival, a cycle more of a row that comes
    while another is read; one beat in and one step (`RowSteps`) per cycle.
    """

    LATENCY = 2 + ChunkConverter.LATENCY

    #: beats of rows; `ready` is a register, and high while no more than `feed_depth` − `SPARE_BEATS` are inside
    i: stream.Interface
    #: what the next row is for
    ahead: data.View
    #: how that row becomes operands
    mode: data.View
    #: chunks of operands
    o: stream.Interface
    #: a row's room is free from the next cycle on; what it was for
    ended: Signal
    ended_note: data.View
    #: nothing is inside
    idle: Signal

    def __init__(self, config: SpAttenConfig, note: data.StructLayout):
        self.config = c = config
        self.note = note
        self.depth = feed_depth(c)
        super().__init__({
            "i": In(stream.Signature(row_beat(c, note))), "ahead": Out(note), "mode": In(plane_mode(c)),
            "o": Out(stream.Signature(operand_chunk(c, note))), "ended": Out(1), "ended_note": Out(note),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.steps = steps = RowSteps(c, self.note)
        m.submodules.converter = converter = ChunkConverter(c, self.note)
        row_beats = self._begin_rows(m, steps)

        # Beats from `base` on are stored, `level` of them; a row gives its beats back when its last step has gone.
        m.submodules.beats = beats = Memory(shape=unsigned(c.axi_data_bits + 1), depth=self.depth, init=[],
                                            attrs=NO_COLLISIONS | {"ram_style": "block"})
        write, read = beats.write_port(), beats.read_port(transparent_for=())
        bits = (self.depth - 1).bit_length()
        to, base = Signal(bits), Signal(bits)
        level = Signal(range(self.depth + 1))
        put = Signal()
        room = Signal()
        step = steps.o.payload
        taken = Signal()
        m.d.comb += [
            self.i.ready.eq(room), put.eq(self.i.valid & self.i.ready),
            write.addr.eq(to), write.data.eq(Cat(self.i.p.data, self.i.p.error)), write.en.eq(put),
            # What is written in this cycle is not read: `level` does not count it yet.
            steps.o.ready.eq(converter.i.ready & (~step.read | (step.beat < level))),
            taken.eq(steps.o.valid & steps.o.ready), self.ended.eq(taken & step.last),
            Value.cast(self.ended_note).eq(Value.cast(step.note)),
            read.addr.eq(wrap(base + step.beat, bits)), read.en.eq(converter.i.ready),
        ]
        m.d.sync += [level.eq(level + put - Mux(self.ended, row_beats, 0)), room.eq(level < self.depth - 1)]
        with m.If(put):
            m.d.sync += to.eq(wrap(to + 1, bits))
        with m.If(self.ended):
            m.d.sync += base.eq(wrap(base + row_beats, bits))

        # Control bits of a step while its beat is read.
        valid = Signal()
        control = Signal(step_command(c, self.note), reset_less=True)
        with m.If(converter.i.ready):
            m.d.sync += [valid.eq(taken), control.eq(step)]
        into = converter.i.payload
        m.d.comb += [
            converter.i.valid.eq(valid), Cat(into.data, into.error).eq(read.data),
            *[getattr(into, key).eq(getattr(control, key)) for key in step_control(c)],
            Value.cast(into.note).eq(Value.cast(control.note)),
            self.idle.eq((level == 0) & steps.idle & ~valid & converter.idle),
        ]
        connect(m, converter.o, flipped(self.o))
        contract(m, level >= row_beats, "a row that ends is there whole", when=self.ended)
        contract(m, ~put | (level != self.depth), "a beat that is taken has room")
        self._count_beats(m, put)
        return m

    def _count_beats(self, m: Module, put: Value) -> None:
        """Contract: as many beats come as the row has, or the next one would be looked for in the wrong place."""
        if not contracts_on():
            return
        beat = self.i.payload
        number = Signal(self.config.beats_bits)
        with m.If(put):
            m.d.sync += number.eq(Mux(beat.last, 0, wrap(number + 1, len(number))))
        contract(m, (beat.first == (number == 0)) & (beat.last == (number + 1 == beat.beats)),
                 "a row comes with all its beats, and no more", when=put)

    def _begin_rows(self, m: Module, steps: RowSteps) -> Signal:
        """Hands rows on as their first beats arrive. Returns the beats of the row that is being read."""
        c = self.config
        m.submodules.rows = rows = StreamFifo(data.StructLayout({"beats": unsigned(c.beats_bits), "note": self.note}),
                                              self.depth)
        arrives = Signal()
        waiting = rows.o.valid
        direct = steps.idle & ~waiting
        begin = steps.i.payload
        m.d.comb += [
            arrives.eq(self.i.valid & self.i.ready & self.i.p.first),
            steps.i.valid.eq(waiting | (arrives & steps.idle)),
            begin.beats.eq(Mux(waiting, rows.o.p.beats, self.i.p.beats)),
            Value.cast(begin.note).eq(Mux(waiting, Value.cast(rows.o.p.note), Value.cast(self.i.p.note))),
            Value.cast(self.ahead).eq(Value.cast(begin.note)), begin.mode.eq(self.mode),
            rows.i.valid.eq(arrives & ~direct), rows.i.p.beats.eq(self.i.p.beats),
            Value.cast(rows.i.p.note).eq(Value.cast(self.i.p.note)), rows.o.ready.eq(steps.i.ready),
        ]
        contract(m, rows.i.ready, "no more rows wait than there is room for beats", when=rows.i.valid)
        current = Signal(c.beats_bits, reset_less=True)
        with m.If(steps.i.ready):
            m.d.sync += current.eq(begin.beats)
        return current

"""Which beats of a row are read when: the steps that bring the pieces of chunk after chunk to the plane registers."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract, contracts_on
from ..primitives.one_hot import any_of, lowest_set, one_hot_mux
from ..primitives.widths import narrow, wrap
from .plane_slot import PlaneSlot, begin_of
from .planes import (
    SLOTS,
    beat_units,
    covers_beats,
    offset_bits,
    part_bits,
    piece_beats,
    piece_units,
    plane_starts,
    row_widths,
    slots_of,
)
from .row_step import row_start, step_command


class RowSteps(wiring.Component):
    """Rows `i` (`row_start`) → steps `o` (`step_command`): at most one beat each, as few as possible.

    For chunk 0, 1, … it reads the beats that the plane registers do not hold yet, and emits the chunk with the last of
    them. A beat that several registers need goes into all of them at once. So a row takes as many steps as chunks
    plus the beats beyond the first that chunks need: 8 bits at N·8 = a beat: one per chunk; 12 bits at D = 2·N: three.
    Latency 1 cycle, one step per cycle, rows back to back without a gap. `idle`: no row inside.
    """

    #: rows to be read out
    i: stream.Interface
    #: their steps; payload from registers through the choice of the beat
    o: stream.Interface
    #: no row is inside
    idle: Signal

    def __init__(self, config: SpAttenConfig, note: data.StructLayout):
        self.config = c = config
        self.note = note
        super().__init__({
            "i": In(stream.Signature(row_start(c, note))), "o": Out(stream.Signature(step_command(c, note))),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        slots = [PlaneSlot(c, n) for n in range(SLOTS)]
        busy = Signal()
        row = Signal(row_start(c, self.note), reset_less=True)
        chunk = Signal(c.chunk_bits, reset_less=True)
        final_chunk = Signal(c.chunk_bits, reset_less=True)
        first = Signal(reset_less=True)
        step = Signal()
        ends = Signal()
        emit = self._choose(m, slots)
        used = [s for s in slots if s.widths]
        loads = Cat(s.load for s in slots)
        lowest = lowest_set(loads)
        o = self.o.payload
        m.d.comb += [
            self.o.valid.eq(busy), step.eq(busy & self.o.ready), ends.eq(emit & (chunk == final_chunk)),
            self.i.ready.eq(~busy | (self.o.ready & ends)), self.idle.eq(~busy),
            o.note.eq(row.note), o.read.eq(loads.any()), o.loads.eq(loads),
            o.beat.eq(narrow(one_hot_mux(lowest, [s.position[offset_bits(c):] for s in slots]), c.beats_bits)),
            o.part.eq(one_hot_mux(lowest, [s.part for s in slots]) if part_bits(c) else 0),
            *[getattr(o, f"offset{s.number}").eq(s.position[:offset_bits(c)]) for s in used],
            o.emit.eq(emit), o.first.eq(first), o.last.eq(ends), o.chunk.eq(chunk),
            o.width.eq(row.mode.width), o.lsb.eq(row.mode.lsb), o.shift.eq(row.mode.shift),
        ]
        with m.If(step):
            m.d.sync += first.eq(0)
            with m.If(emit):
                m.d.sync += chunk.eq(wrap(chunk + 1, c.chunk_bits))
            self._advance(m, slots, emit)
        with m.If(self.i.ready):
            m.d.sync += busy.eq(self.i.valid)
            self._begin(m, slots, row, final_chunk)
            m.d.sync += [chunk.eq(0), first.eq(1)]
        mode = self.i.payload.mode
        contract(m, any_of(mode.width == w for w in row_widths(c)), "the elements of a row have a width of the build",
                 when=self.i.valid)
        contract(m, mode.chunks != 0, "no row is empty", when=self.i.valid)
        contract(m, loads.any() | emit, "every step loads or emits", when=busy)
        contract(m, o.beat < row.beats, "every beat is one of the row's", when=busy & o.read)
        self._see_the_end(m, row, step, ends)
        return m

    def _choose(self, m: Module, slots: list[PlaneSlot]) -> Value:
        """The beat to read is that of the first register whose piece is missing. Returns whether the chunk is then
        complete."""
        c = self.config
        used = [s for s in slots if s.widths]
        wants = {s: s.active & ~s.held for s in used}
        complete: Value = Const(1, 1)
        before: list[PlaneSlot] = []
        for s in used:
            beat = s.position[offset_bits(c):]
            # Either it is the first that wants a beat, or it wants the same one.
            missing = Cat(Const(0, 1), *[wants[b] for b in before]).any()
            shares: Value = Const(0, 1)
            blocked: Value = Const(0, 1)
            for b in before:
                shares = shares | (wants[b] & ~blocked & (b.position[offset_bits(c):] == beat))
                blocked = blocked | wants[b]
            m.d.comb += s.load.eq(wants[s] & (~missing | shares))
            last = s.by_width([piece_beats(c, w) - 1 for w in s.widths], max(1, part_bits(c)))
            done = s.held | (s.load & (s.part == last))
            complete = complete & (done | ~s.active)
            before.append(s)
        return complete

    def _advance(self, m: Module, slots: list[PlaneSlot], emit: Value) -> None:
        """Positions move with every beat of pieces that cover whole beats, else with every chunk."""
        c = self.config
        used = [s for s in slots if s.widths]
        for s in used:
            covers = s.by_width([int(covers_beats(c, w)) for w in s.widths], 1)
            size = s.by_width([beat_units(c) if covers_beats(c, w) else piece_units(c, w) for w in s.widths],
                              len(s.position))
            after = wrap(s.position + size, len(s.position))
            with m.If(Mux(covers, s.load, emit)):
                m.d.sync += s.position.eq(after)
            last = s.by_width([piece_beats(c, w) - 1 for w in s.widths], max(1, part_bits(c)))
            with m.If(s.load):
                m.d.sync += s.part.eq(Mux(s.part == last, 0, wrap(s.part + 1, len(s.part))))
            with m.If(emit):
                # What was loaded serves the next chunk too, if that one's piece is in the same beat.
                m.d.sync += s.held.eq(~covers & (after[:offset_bits(c)] != 0))
            with m.Elif(s.load):
                m.d.sync += s.held.eq(s.part == last)

    def _begin(self, m: Module, slots: list[PlaneSlot], row: data.View, final_chunk: Signal) -> None:
        """Takes the next row: which registers it uses, and where their planes begin."""
        c = self.config
        i = self.i.payload
        used = [s for s in slots if s.widths]
        m.d.sync += [row.eq(i), final_chunk.eq(wrap(i.mode.chunks - 1, len(final_chunk)))]
        width = {w: i.mode.width == w for w in row_widths(c)}
        for s in used:
            active: list[Value] = [width[w] for w in width if s.number in slots_of(w)]
            wide: list[Value] = [width[w] for w in width if slots_of(w).get(s.number) == s.widths[-1]]
            begins: dict[tuple[int, int], list[Value]] = {}     # (units per chunk, alignment) → widths
            for w, chosen in width.items():
                if s.number in slots_of(w):
                    begins.setdefault(plane_starts(c, w)[s.number], []).append(chosen)
            place = any_of([Mux(any_of(chosen), begin_of(i.mode.chunks, *where), 0)
                            for where, chosen in begins.items()])
            m.d.sync += [
                s.active.eq(any_of(active)), s.wide.eq(any_of(wide)),
                s.position.eq(wrap(place, len(s.position))), s.held.eq(0), s.part.eq(0),
            ]

    def _see_the_end(self, m: Module, row: data.View, step: Value, ends: Value) -> None:
        """Contract: the row is as long as was asked for, or its room would be given back too late or too early."""
        if not contracts_on():
            return
        o = self.o.payload
        furthest = Signal(self.config.beats_bits)
        now = Mux(o.read & (o.beat > furthest), o.beat, furthest)
        with m.If(step):
            m.d.sync += furthest.eq(Mux(ends, 0, now))
        contract(m, now + 1 == row.beats, "a row is as long as was asked for", when=step & ends)

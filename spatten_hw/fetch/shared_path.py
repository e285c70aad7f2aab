"""Shared path: rows of all channels that are for every slice, through one converter."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.row_step import row_step
from ..config import SpAttenConfig
from ..contract import always_taken, at_most_one, contract
from ..primitives.one_hot import one_hot_mux
from ..primitives.pipeline import copies
from ..stream.arbiter import RoundRobin
from ..stream.read_layouts import ReadKind, operand_chunk, shared_note
from .converter import ChunkConverter
from .fill_walk import returned_layout
from .word_reads import word_beat

#: Bits of a step that one copy of the choice selects.
SELECTED_BITS = 64


def row_error_layout() -> data.StructLayout:
    """A row with an AXI error came: of Q, of a K fill, of a V fill."""
    return data.StructLayout({"q": 1, "k": 1, "v": 1})


class SharedPath(wiring.Component):
    """`steps` (one `row_step` stream per channel) → `chunks` (`operand_chunk`, always taken); words → `beats`.

    A channel's steps pass from the first to the last one of a row without those of another channel between them; then
    the next channel with a row follows (round robin). One step per cycle, also if every row has one step only: the next
    channel is chosen while the present one's step passes, among those whose step waits already; without one the choice
    stays. Latency from a channel that is chosen: 1 cycle and the converter's. Only words may stall the path, for the
    few cycles that a beat of them takes.
    """

    #: Row steps, per channel.
    steps: list[stream.Interface]
    #: Chunks of Q rows and of fills, for all slices.
    chunks: stream.Interface
    #: Beats of words.
    beats: stream.Interface
    #: A Q row is complete.
    query_returned: Signal
    #: A row of a fill is complete (always taken).
    fill_returned: stream.Interface
    #: It had an AXI error.
    error: data.View

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "steps": In(stream.Signature(row_step(c, shared_note(c)))).array(c.channels),
            "chunks": Out(stream.Signature(operand_chunk(c, shared_note(c)))),
            "beats": Out(stream.Signature(word_beat(c))), "query_returned": Out(1),
            "fill_returned": Out(stream.Signature(returned_layout())), "error": Out(row_error_layout()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        shape = row_step(c, shared_note(c))
        m.submodules.converter = converter = ChunkConverter(c, shared_note(c))

        # One channel has the path. `free`: the register behind takes a step.
        after = Signal(c.channels)
        grant, *selects = copies(m, after, 1 + -(-shape.size // SELECTED_BITS), "grant", init=1)
        free = Signal()
        here = Signal()
        ends = Signal()
        within_row = Signal()
        valid = Cat(s.valid for s in self.steps)
        m.d.comb += [
            here.eq((grant & valid).any()),
            ends.eq((grant & Cat(s.payload.last for s in self.steps)).any()),
        ]
        with m.If(here & free):
            m.d.sync += within_row.eq(~ends)
        m.submodules.turn = turn = RoundRobin(c.channels)
        m.d.comb += [
            # Who waits now and is not served now still waits in the next cycle.
            turn.requests.eq(valid & ~grant), turn.advance.eq(Mux(here, free & ends, ~within_row)),
            after.eq(Mux(turn.advance & turn.any, turn.grant, grant)),
            *[s.ready.eq(grant[n] & free) for n, s in enumerate(self.steps)],
        ]

        step = Signal(shape, reset_less=True)
        words = Signal(reset_less=True)
        full = Signal()
        m.d.comb += free.eq(~(full & words & ~self.beats.ready))
        with m.If(free):
            m.d.sync += [
                full.eq(here), step.as_value().eq(self._chosen(selects)),
                words.eq((grant & Cat(self._words(s.payload) for s in self.steps)).any()),
            ]
        m.d.comb += [
            self.beats.valid.eq(full & words), self.beats.payload.data.eq(step.data),
            self.beats.payload.error.eq(step.error),
            converter.i.valid.eq(full & ~words), converter.i.payload.eq(step),
            self.chunks.valid.eq(converter.o.valid), self.chunks.payload.eq(converter.o.payload),
            converter.o.ready.eq(1),
        ]
        self._report(m)
        always_taken(m, converter.i, "steps")
        always_taken(m, self.chunks, "chunks")
        contract(m, at_most_one(grant) & grant.any(), "one channel has the path")
        contract(m, grant == after, "the path stays with a row until its end", when=within_row & ~(here & ends))
        return m

    def _words(self, step: data.View) -> Value:
        return step.note.kind == ReadKind.WORDS

    def _chosen(self, selects: list[Signal]) -> Value:
        """The step of the channel that has the path; each of `selects` chooses `SELECTED_BITS` of it."""
        all_bits = [s.payload.as_value() for s in self.steps]
        return Cat(one_hot_mux(select, [bits[n * SELECTED_BITS:][:SELECTED_BITS] for bits in all_bits])
                   for n, select in enumerate(selects))

    def _report(self, m: Module) -> None:
        """Tells, a cycle after its last chunk, that a row is complete."""
        chunk = self.chunks.payload
        kind = chunk.note.kind
        complete = self.chunks.valid & chunk.last
        query = kind == ReadKind.QUERY
        value = (kind == ReadKind.VALUE) | (kind == ReadKind.VALUE_LSB)
        m.d.sync += [
            self.query_returned.eq(complete & query), self.fill_returned.valid.eq(complete & ~query),
            self.fill_returned.payload.value.eq(value), self.fill_returned.payload.half.eq(chunk.note.half),
            self.error.q.eq(complete & chunk.error & query), self.error.v.eq(complete & chunk.error & value),
            self.error.k.eq(complete & chunk.error & ~query & ~value),
        ]
        contract(m, self.fill_returned.ready, "complete rows are always counted", when=self.fill_returned.valid)

"""Shared path: rows of all channels that are for every slice, through one converter."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.row_beat import row_beat
from ..config import SpAttenConfig
from ..contract import always_taken, at_most_one, contract
from ..primitives.one_hot import one_hot_mux
from ..primitives.pipeline import copies
from ..stream.arbiter import RoundRobin
from ..stream.read_layouts import ReadKind, operand_chunk, plane_mode, shared_note
from ..stream.skid import SkidBuffer
from .fill_walk import returned_layout
from .row_feed import RowFeed
from .word_reads import word_beat

#: Bits of a beat that one copy of the choice selects.
SELECTED_BITS = 64


def row_error_layout() -> data.StructLayout:
    """A row with an AXI error came: of Q, of a K fill, of a V fill."""
    return data.StructLayout({"q": 1, "k": 1, "v": 1})


class SharedPath(wiring.Component):
    """`rows` (one `row_beat` stream per channel) → `chunks` (`operand_chunk`, always taken); words → `beats`.

    A channel's beats pass from the first to the last one of a row without those of another channel between them; then
    the next channel with a row follows (round robin). One beat per cycle, also if every row has one beat only: the next
    channel is chosen while the present one's beat passes, among those whose beat waits already; without one the choice
    stays. Latency from a channel that is chosen: 1 cycle and that of `RowFeed`, which gives a chunk per cycle. A beat
    of words stalls the path until it is taken, rows with more chunks than beats while its buffer is full.
    """

    #: Beats of rows, per channel.
    rows: list[stream.Interface]
    #: How rows become operands, index = `ReadKind`; constant while rows of the kind are in flight.
    modes: data.View
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
            "rows": In(stream.Signature(row_beat(c, shared_note(c)))).array(c.channels),
            "modes": In(data.ArrayLayout(plane_mode(c), len(ReadKind) - 1)),
            "chunks": Out(stream.Signature(operand_chunk(c, shared_note(c)))),
            "beats": Out(stream.Signature(word_beat(c))), "query_returned": Out(1),
            "fill_returned": Out(stream.Signature(returned_layout())), "error": Out(row_error_layout()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        shape = row_beat(c, shared_note(c))
        m.submodules.feed = feed = RowFeed(c, shared_note(c))

        # One channel has the path. `free`: the buffer behind takes a beat.
        after = Signal(c.channels)
        grant, *selects = copies(m, after, 1 + -(-shape.size // SELECTED_BITS), "grant", init=1)
        free = Signal()
        here = Signal()
        ends = Signal()
        within_row = Signal()
        valid = Cat(row.valid for row in self.rows)
        m.d.comb += [
            here.eq((grant & valid).any()),
            ends.eq((grant & Cat(row.payload.last for row in self.rows)).any()),
        ]
        with m.If(here & free):
            m.d.sync += within_row.eq(~ends)
        m.submodules.turn = turn = RoundRobin(c.channels)
        m.d.comb += [
            # Who waits now and is not served now still waits in the next cycle.
            turn.requests.eq(valid & ~grant), turn.advance.eq(Mux(here, free & ends, ~within_row)),
            after.eq(Mux(turn.advance & turn.any, turn.grant, grant)),
            *[row.ready.eq(grant[n] & free) for n, row in enumerate(self.rows)],
        ]

        m.submodules.behind = behind = SkidBuffer(data.StructLayout({"words": 1, "beat": shape}))
        beat, words, full = behind.o.p.beat, behind.o.p.words, behind.o.valid
        m.d.comb += [
            free.eq(behind.i.ready), behind.i.valid.eq(here), Value.cast(behind.i.p.beat).eq(self._chosen(selects)),
            behind.i.p.words.eq((grant & Cat(row.p.note.kind == ReadKind.WORDS for row in self.rows)).any()),
            behind.o.ready.eq(Mux(words, self.beats.ready, feed.i.ready)),
            self.beats.valid.eq(full & words), self.beats.payload.data.eq(beat.data),
            self.beats.payload.error.eq(beat.error),
            feed.i.valid.eq(full & ~words), feed.i.payload.eq(beat), feed.o.ready.eq(1),
            feed.mode.as_value().eq(one_hot_mux([feed.ahead.kind == ReadKind(n) for n in range(len(ReadKind) - 1)],
                                                [Value.cast(self.modes[n]) for n in range(len(ReadKind) - 1)])),
            self.chunks.valid.eq(feed.o.valid), self.chunks.payload.eq(feed.o.payload),
        ]
        self._report(m)
        always_taken(m, self.chunks, "chunks")
        contract(m, at_most_one(grant) & grant.any(), "one channel has the path")
        contract(m, grant == after, "the path stays with a row until its end", when=within_row & ~(here & ends))
        return m

    def _chosen(self, selects: list[Signal]) -> Value:
        """The beat of the channel that has the path; each of `selects` chooses `SELECTED_BITS` of it."""
        all_bits = [row.payload.as_value() for row in self.rows]
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

"""Requests of everything but K and V of generation: words, Q rows, rows of prompts for the SRAMs."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.pipeline import delay
from ..stream.layouts import fill_command, q_command
from ..stream.read_layouts import ReadKind, aux_command, aux_word, read_request, shared_note
from .fill_walk import FillWalk, filled_layout, returned_layout
from .plane import plane_address
from .row_reads import PLANES, RowReads, shared_row
from .word_reads import CLIENTS, WordReads, word_beat


class SharedReads(wiring.Component):
    """`cmd` (2 `aux_command`), `q_cmd`, `fill` → `reads`, one stream of `read_request` per channel.

    When several can go: words, then queries, then fills; one request per cycle, in order per channel. At most `slots`
    queries are outstanding. `beats`, `query_returned` and `fill_returned` tell what came (`SharedPath`).
    """

    #: Words: of descriptors (0), of state (1).
    cmd: list[stream.Interface]
    #: Their words.
    words: list[stream.Interface]
    #: Q rows.
    q_cmd: stream.Interface
    #: K and V rows of prompts.
    fill: stream.Interface
    #: Halves that are complete (always taken).
    filled: stream.Interface
    #: Requests per channel.
    reads: list[stream.Interface]
    #: Addresses, by kind; constant while not `idle`.
    planes: data.View
    #: Row of the dense list …
    list_row: Signal
    #: … and its token ids, a cycle later.
    list_ids: data.View
    #: Beats of words that came.
    beats: stream.Interface
    #: A Q row came.
    query_returned: Signal
    #: A row of a fill came.
    fill_returned: stream.Interface
    #: A word with an AXI error left for that client in the cycle before.
    word_error: Signal
    #: Reads are outstanding: of q, k, v, desc, state.
    waits: data.View
    #: Nothing inside, nothing outstanding (a cycle late).
    idle: Signal

    #: Cycles from a Q command to its request.
    query_latency = 1 + RowReads.latency

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "cmd": In(stream.Signature(aux_command(c))).array(CLIENTS),
            "words": Out(stream.Signature(aux_word())).array(CLIENTS),
            "q_cmd": In(stream.Signature(q_command(c))), "fill": In(stream.Signature(fill_command(c))),
            "filled": Out(stream.Signature(filled_layout())),
            "reads": Out(stream.Signature(read_request(c, shared_note(c)))).array(c.channels),
            "planes": In(data.ArrayLayout(plane_address(c), len(PLANES))),
            "list_row": Out(c.row_bits), "list_ids": In(data.ArrayLayout(unsigned(c.token_bits), c.slices)),
            "beats": In(stream.Signature(word_beat(c))), "query_returned": In(1),
            "fill_returned": In(stream.Signature(returned_layout())),
            "word_error": Out(CLIENTS), "waits": Out(read_classes()), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.words = words = WordReads(c)
        m.submodules.fills = fills = FillWalk(c)
        m.submodules.rows = rows = RowReads(c)
        for n in range(CLIENTS):
            connect(m, flipped(self.cmd[n]), words.cmd[n])
            connect(m, words.words[n], flipped(self.words[n]))
        for n in range(c.channels):
            connect(m, rows.reads[n], flipped(self.reads[n]))
        connect(m, flipped(self.beats), words.beats)
        connect(m, flipped(self.fill), fills.cmd)
        connect(m, flipped(self.fill_returned), fills.returned)
        connect(m, fills.filled, flipped(self.filled))

        queries = Signal(c.slots.bit_length())           # outstanding
        able = Signal()                                  # one more may be
        query = Signal()
        taken = Signal()
        m.d.comb += [
            words.granted.eq(rows.room & words.wants), query.eq(rows.room & ~words.wants & able),
            self.q_cmd.ready.eq(query), taken.eq(query & self.q_cmd.valid),
            fills.granted.eq(rows.room & ~words.wants & ~(self.q_cmd.valid & able) & fills.wants),
            able.eq(queries != c.slots),
            rows.planes.eq(self.planes), self.list_row.eq(fills.list_row), fills.list_ids.eq(self.list_ids),
        ]
        m.d.sync += queries.eq(queries + taken - self.query_returned)

        # A cycle later the dense list has answered.
        asked = Signal(shared_row(c))
        q = delay(m, self.q_cmd.payload, 1, "q")
        m.d.comb += [
            asked.head.eq(q.head), asked.token.eq(q.token), asked.note.kind.eq(ReadKind.QUERY),
            asked.note.index.eq(q.slot),
        ]
        of_words = delay(m, words.granted, 1, "of_words", reset=True)
        of_query = delay(m, taken, 1, "of_query", reset=True)
        of_fill = delay(m, fills.granted, 1, "of_fill", reset=True)
        m.d.comb += [
            rows.rows.valid.eq(of_words | of_query | of_fill),
            rows.rows.payload.eq(Mux(of_words, words.row.as_value(), Mux(of_query, asked.as_value(),
                                                                         fills.row.as_value()))),
        ]
        m.d.comb += self.word_error.eq(words.error)
        m.d.sync += [
            self.waits.q.eq(queries != 0), self.waits.k.eq(fills.missing[0]), self.waits.v.eq(fills.missing[1]),
            self.waits.desc.eq(words.waits[0]), self.waits.state.eq(words.waits[1]),
            self.idle.eq(words.idle & fills.idle & rows.idle & (queries == 0) & ~self.q_cmd.valid
                         & ~rows.rows.valid),
        ]
        contract(m, queries != 0, "a Q row that came was asked for", when=self.query_returned)
        return m


def read_classes() -> data.StructLayout:
    """One bit for everything that is read: Q, K, V rows, words of descriptors, words of state."""
    return data.StructLayout({"q": 1, "k": 1, "v": 1, "desc": 1, "state": 1})

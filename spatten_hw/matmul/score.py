"""Q×K of a slice: N multipliers, the slice's K SRAM, and every query."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig
from ..contract import always_taken, contract, contracts_on
from ..stream.layouts import score_command, score_write
from ..stream.read_layouts import key_note, operand_chunk, shared_note
from .dot_product import DotProduct, dot_product_latency
from .issue import issue_layout, place_layout
from .key_fill import KeyFill
from .key_sram import KeySram
from .query_memory import QueryMemory, slot_layout
from .sram_issue import SramIssue
from .stream_issue import StreamIssue

#: Cycles from a command taken by an idle slice to its first issue, and from a K chunk taken to its first issue.
COMMAND_ISSUE = 2
CHUNK_ISSUE = 1
#: Cycles from a q row's last chunk on `shared` until what waits for it is issued.
QUERY_ISSUE = 3


def issue_latency(c: SpAttenConfig) -> int:
    """Cycles from the issue of a score's last chunk to the score on `o`: memories, then the dot product."""
    return 1 + dot_product_latency(c)


def score_latency(c: SpAttenConfig, chunks: int) -> int:
    """Cycles from a command taken by an idle slice, its q and keys there, to its first score on `o`."""
    return COMMAND_ISSUE + chunks - 1 + issue_latency(c)


def stream_latency(c: SpAttenConfig) -> int:
    """Cycles from a row's last K chunk taken, q there, to the score of its first member on `o`."""
    return CHUNK_ISSUE + issue_latency(c)


class ScoreSlice(wiring.Component):
    """Exact scores of the keys of slice `number`, one product of chunks per cycle.

    Prompt: `cmd` scores a query against the slice's keys in the K SRAM, which `shared` fills. Generation: rows from
    `k_chunks` are scored against the queries of a gang, `members` cycles per chunk. The two are never here at the same
    time. Either goes on without a gap, across rows and commands, as long as the queries are there; it waits for them in
    order. Scores come in that order, those of a K row by member. Latencies: `score_latency`, `stream_latency`. A q row
    can be used `QUERY_ISSUE` cycles after its last chunk, a fill by every command taken with or after its last chunk.

    Valid input: `chunks`, `has_lsb` and `number` constant while anything is inside; rows whole; members not 0. A slot
    is taken (`slot_taken`) when nothing of it is here, in a cycle before its first K chunk or command, and not after
    the first chunk of its q. A command has no more keys than its half was filled with; a half is filled while no
    command that reads it is here. Errors of rows are others' business.
    (SpAtten, section IV-E.)
    """

    #: Which slice this is; a constant.
    number: Signal
    #: Chunks of a row, D / N.
    chunks: Signal
    #: K has an LSB plane.
    has_lsb: Signal
    #: K rows of generation; `ready` is a register.
    k_chunks: stream.Interface
    #: Q rows and fills of the SRAM for all slices; always taken.
    shared: stream.Interface
    #: A slot whose q is not there any more; always taken.
    slot_taken: stream.Interface
    #: Queries of prompts, in order; a queue of `sram_issue.QUEUE`.
    cmd: stream.Interface
    #: Scores, at most one per cycle; always taken.
    o: stream.Interface
    #: A command, a K row or a score is here or at the door.
    busy: Signal
    #: There is work, but no q for it, or the next chunk of a K row that has begun is missing.
    stall: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "number": In(c.slice_bits),
            "chunks": In(c.chunk_count_bits),
            "has_lsb": In(1),
            "k_chunks": In(stream.Signature(operand_chunk(c, key_note(c)))),
            "shared": In(stream.Signature(operand_chunk(c, shared_note(c)))),
            "slot_taken": In(stream.Signature(slot_layout(c))),
            "cmd": In(stream.Signature(score_command(c))),
            "o": Out(stream.Signature(score_write(c))),
            "busy": Out(1),
            "stall": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.fill = fill = KeyFill(c)
        m.submodules.keys = keys = KeySram(c)
        m.submodules.queries = queries = QueryMemory(c)
        m.submodules.rows = rows = StreamIssue(c)
        m.submodules.prompt = prompt = SramIssue(c)
        m.submodules.dot = dot = DotProduct(c)
        connect(m, flipped(self.shared), fill.shared)
        connect(m, flipped(self.slot_taken), queries.slot_taken)
        connect(m, flipped(self.k_chunks), rows.i)
        connect(m, flipped(self.cmd), prompt.cmd)
        connect(m, dot.o, flipped(self.o))

        streamed = rows.o.valid
        issue = Signal(issue_layout(c))
        place = issue.place
        m.d.comb += [
            fill.number.eq(self.number), fill.chunks.eq(self.chunks),
            keys.write_en.eq(fill.key), keys.write_word.eq(fill.word), keys.write_half.eq(fill.half),
            keys.write_lsb.eq(fill.lsb), keys.write_data.eq(fill.data),
            queries.write_en.eq(fill.query), queries.write_slot.eq(fill.slot), queries.write_chunk.eq(fill.chunk),
            queries.write_last.eq(fill.last), queries.write_data.eq(fill.data),

            rows.there.eq(queries.there), rows.o.ready.eq(1),
            prompt.there.eq(queries.there), prompt.o.ready.eq(1),
            prompt.number.eq(self.number), prompt.chunks.eq(self.chunks), prompt.has_lsb.eq(self.has_lsb),

            issue.eq(Mux(streamed, rows.o.payload, prompt.o.payload)),
            queries.read_en.eq(rows.o.valid | prompt.o.valid), queries.read_slot.eq(place.slot),
            queries.read_chunk.eq(issue.chunk),
            keys.read_en.eq(prompt.o.valid), keys.read.eq(prompt.read),
        ]

        # In the cycle of the memories' outputs.
        issued = Signal()
        from_stream = Signal(reset_less=True)
        issued_place = Signal(place_layout(c), reset_less=True)
        m.d.sync += [issued.eq(queries.read_en), from_stream.eq(streamed), issued_place.eq(place)]
        m.d.comb += [
            dot.valid.eq(issued), dot.place.eq(issued_place),
            dot.k.eq(Mux(from_stream, rows.data, keys.read_data)), dot.q.eq(queries.read_data),
            self.busy.eq(self.cmd.valid | self.k_chunks.valid | rows.busy | prompt.busy | issued | dot.busy),
            self.stall.eq(rows.starved | prompt.starved),
        ]
        contract(m, ~(rows.busy & prompt.busy), "K rows of generation and commands of a prompt do not meet")
        always_taken(m, self.shared, "chunks of the shared path")
        always_taken(m, self.slot_taken, "slots taken")
        if contracts_on():
            before = Signal.like(self.chunks)
            m.d.sync += before.eq(self.chunks)
            contract(m, before == self.chunks, "D holds still while work is inside",
                     when=rows.busy | prompt.busy | issued | dot.busy)
        return m

"""Everything that is read for the whole accelerator: words, Q rows, rows of prompts for the SRAMs."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.row_beat import row_beat
from ..config import SpAttenConfig
from ..stream.layouts import fill_command, q_command
from ..stream.read_layouts import aux_command, aux_word, operand_chunk, plane_mode, read_request, shared_note
from .fill_walk import filled_layout
from .plane import plane_address
from .row_reads import PLANES
from .shared_path import SharedPath
from .shared_reads import SharedReads, read_classes
from .word_reads import CLIENTS


class SharedFetch(wiring.Component):
    """`SharedReads` (requests) and `SharedPath` (what they bring), between the sequencer, the channels and the slices.

    Latencies and rates are those of the two. `filled` comes when a command's last chunk left some cycles ago
    (`fill_walk.WRITTEN_STAGES` + 1), so that it is in the SRAMs.
    """

    #: Words wanted: of descriptors (0), of state (1).
    cmd: list[stream.Interface]
    #: These words.
    words: list[stream.Interface]
    #: Q rows wanted.
    q_cmd: stream.Interface
    #: K and V rows of prompts wanted.
    fill: stream.Interface
    #: Halves of the SRAMs that are complete (always taken).
    filled: stream.Interface
    #: Requests, per channel.
    reads: list[stream.Interface]
    #: Beats of what was asked for, per channel.
    rows: list[stream.Interface]
    #: Chunks of Q rows and of fills, for all slices (always taken).
    chunks: stream.Interface
    #: Addresses, and how rows become operands, by kind; constant while not `idle`.
    planes: data.View
    modes: data.View
    #: Row of the dense list …
    list_row: Signal
    #: … and its token ids, a cycle later.
    list_ids: data.View
    #: Pulses: a row (a word) with an AXI error.
    error: data.View
    #: Reads are outstanding.
    waits: data.View
    #: Nothing inside, nothing outstanding (a cycle late).
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        note = shared_note(c)
        super().__init__({
            "cmd": In(stream.Signature(aux_command(c))).array(CLIENTS),
            "words": Out(stream.Signature(aux_word())).array(CLIENTS),
            "q_cmd": In(stream.Signature(q_command(c))), "fill": In(stream.Signature(fill_command(c))),
            "filled": Out(stream.Signature(filled_layout())),
            "reads": Out(stream.Signature(read_request(c, note))).array(c.channels),
            "rows": In(stream.Signature(row_beat(c, note))).array(c.channels),
            "chunks": Out(stream.Signature(operand_chunk(c, note))),
            "planes": In(data.ArrayLayout(plane_address(c), len(PLANES))),
            "modes": In(data.ArrayLayout(plane_mode(c), len(PLANES))),
            "list_row": Out(c.row_bits), "list_ids": In(data.ArrayLayout(unsigned(c.token_bits), c.slices)),
            "error": Out(read_classes()), "waits": Out(read_classes()), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.reads = reads = SharedReads(self.config)
        m.submodules.path = path = SharedPath(self.config)
        for mine, part in ((self.cmd, reads.cmd), (self.words, reads.words), (self.reads, reads.reads),
                           (self.rows, path.rows)):
            for outer, inner in zip(mine, part, strict=True):
                connect(m, flipped(outer), inner)
        for outer, inner in ((self.q_cmd, reads.q_cmd), (self.fill, reads.fill), (self.filled, reads.filled),
                             (self.chunks, path.chunks)):
            connect(m, flipped(outer), inner)
        connect(m, path.beats, reads.beats)
        connect(m, path.fill_returned, reads.fill_returned)
        m.d.comb += [
            reads.query_returned.eq(path.query_returned), reads.planes.eq(self.planes), path.modes.eq(self.modes),
            self.list_row.eq(reads.list_row), reads.list_ids.eq(self.list_ids),
            self.waits.eq(reads.waits), self.idle.eq(reads.idle),
            self.error.q.eq(path.error.q), self.error.k.eq(path.error.k), self.error.v.eq(path.error.v),
            self.error.desc.eq(reads.word_error[0]), self.error.state.eq(reads.word_error[1]),
        ]
        return m

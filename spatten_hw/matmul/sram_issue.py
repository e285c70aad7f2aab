"""Prompts: walks the rows of a slice's K SRAM for one query after the other."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.widths import narrow, wrap
from ..stream.fifo import StreamFifo
from ..stream.layouts import score_command
from .issue import issue_layout
from .key_sram import read_layout

#: Commands that wait in a slice, so that slices need not be in step.
QUEUE = 4


class SramIssue(wiring.Component):
    """Executes `score_command`s in order, one chunk per cycle, without a gap between rows and commands.

    cmd: taken while the queue has room; one without a key for slice `number` leaves no trace. First issue two cycles
        after a command was taken into an empty queue if its q is there.
    there: slots whose q is stored. It only goes while no command of that slot is here.
    o, read: the issue and where its K chunk is, valid together, always taken.
    starved: a command waits for q.
    """

    number: Signal
    chunks: Signal
    has_lsb: Signal
    cmd: stream.Interface
    there: Signal
    o: stream.Interface
    read: data.View
    busy: Signal
    starved: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "number": In(c.slice_bits),
            "chunks": In(c.chunk_count_bits),
            "has_lsb": In(1),
            "cmd": In(stream.Signature(score_command(c))),
            "there": In(c.slots),
            "o": Out(stream.Signature(issue_layout(c))),
            "read": Out(read_layout(c)),
            "busy": Out(1),
            "starved": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        lane_bits = clog2(c.slices)
        rows_bits = c.max_rows.bit_length()
        m.submodules.queue = queue = StreamFifo(data.StructLayout({
            "slot": unsigned(c.slot_bits), "rows": unsigned(rows_bits), "half": 1, "refetched": 1}), QUEUE)
        keys = self.cmd.p.keys
        # Rows r with r·S + place < keys; at most max_rows.
        place = wrap(self.number - self.cmd.p.turn, lane_bits) if lane_bits else 0
        rows = keys[lane_bits:] + (keys[:lane_bits] > place)
        m.d.comb += [
            queue.i.valid.eq(self.cmd.valid & (keys > place)),
            queue.i.p.slot.eq(self.cmd.p.slot),
            queue.i.p.rows.eq(narrow(rows, rows_bits)),
            queue.i.p.half.eq(self.cmd.p.half),
            queue.i.p.refetched.eq(self.cmd.p.refetched),
            self.cmd.ready.eq(queue.i.ready),
        ]
        head = queue.o.p

        active = Signal()
        go = Signal()  # a chunk is issued in this cycle
        slot = Signal(c.slot_bits, reset_less=True)
        read = Signal(read_layout(c), reset_less=True)
        row = Signal(c.row_bits, reset_less=True)
        rows_left = Signal(rows_bits, reset_less=True)
        last_row = Signal(reset_less=True)
        chunk = Signal(c.chunk_bits, reset_less=True)
        last_chunk = Signal()
        free = Signal()
        next_active = Signal()
        m.d.comb += [
            last_chunk.eq(chunk + 1 == self.chunks),
            free.eq(~active | (go & last_chunk & last_row)),
            queue.o.ready.eq(free),
            next_active.eq(~free | queue.o.valid),
        ]
        m.d.sync += [
            active.eq(next_active),
            go.eq(next_active & Mux(free, self.there.bit_select(head.slot, 1), self.there.bit_select(slot, 1))),
        ]
        with m.If(free):
            m.d.sync += [
                slot.eq(head.slot), rows_left.eq(head.rows), last_row.eq(head.rows == 1), row.eq(0), chunk.eq(0),
                read.word.eq(0), read.half.eq(head.half), read.bare.eq(self.has_lsb & ~head.refetched),
            ]
        with m.Elif(go):
            m.d.sync += [read.word.eq(wrap(read.word + 1, len(read.word))), chunk.eq(wrap(chunk + 1, len(chunk)))]
            with m.If(last_chunk):
                m.d.sync += [
                    chunk.eq(0), row.eq(wrap(row + 1, c.row_bits)), last_row.eq(rows_left == 2),
                    rows_left.eq(wrap(rows_left - 1, rows_bits)),
                ]
        m.d.comb += [
            self.o.valid.eq(go),
            self.o.p.chunk.eq(chunk),
            self.o.p.place.slot.eq(slot),
            self.o.p.place.row.eq(row),
            self.o.p.place.first.eq(chunk == 0),
            self.o.p.place.last.eq(last_chunk),
            self.o.p.place.alone.eq(1),
            self.read.eq(read),
            self.busy.eq(active | queue.o.valid),
            self.starved.eq(active & ~go),
        ]
        always_taken(m, self.o, "SRAM issues")
        contract(m, active | ~go, "only a command that is here is issued")
        contract(m, (self.number < c.slices) & (rows <= c.max_rows), "a slice has no more rows than the longest",
                 when=self.cmd.valid)
        contract(m, read.word < c.sram_words, "the rows of a command lie in a half", when=go)
        contract(m, (self.chunks != 0) & (self.chunks <= c.max_chunks) & (chunk < self.chunks),
                 "a chunk is one of the job's", when=go)
        contract(m, (rows_left != 0) & (last_row == (rows_left == 1)), "rows are counted down to one", when=active)
        return m

"""All reads of one memory channel: requests to AXI bursts, beats in any order to rows, step by step."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.widths import narrow, wrap
from ..stream.read_layouts import key_note, read_request, shared_note, value_note
from .axi import ar_layout, r_layout
from .beat_pool import BeatPool
from .read_issue import AskedClass, ReadIssue
from .read_waits import ReadWaits, waits_layout
from .row_beat import ReadClass, local_note, row_beat
from .row_choice import RowChoice, complete_row


class ChannelReader(wiring.Component):
    """Reads of one channel (`ReadIssue`), the pool of their beats (`BeatPool`), complete rows in any order
    (`RowChoice`), whose beats are read out in order: to the slices (`local`) or to the shared path (`shared_beats`).

    `LATENCY` = 6 cycles from a row's last beat on `r` to its first one out (one more from a queue of more than 48
    reads); 2 from a request to `ar`. One burst, one beat in, one beat out per cycle, rows back to back without a gap.
    While a shared beat waits, none leaves. Whoever takes them must do so without waiting for other rows of this
    channel.
    """

    #: cycles from a row's last beat to its first one out, with at most 48 reads
    LATENCY = 6

    #: reads of K and V of generation; everything else, which goes first
    k: stream.Interface
    v: stream.Interface
    shared: stream.Interface
    #: K rows go before V rows, else V rows before K rows
    k_first: Signal
    #: AXI read address and read data (always taken)
    ar: stream.Interface
    r: stream.Interface
    #: per slice of the channel: a whole K (V) row more has room; one has been begun in this cycle
    k_room: Signal
    v_room: Signal
    k_begun: Signal
    v_begun: Signal
    #: beats of K and V rows of generation, to all slices of the channel; always taken
    local: stream.Interface
    #: beats of shared rows
    shared_beats: stream.Interface
    #: beats asked for in this cycle (0: none), and what for
    asked: Signal
    asked_class: Signal
    #: reads of a class are outstanding
    waits: data.View
    #: nothing is in flight
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        n = c.slices_per_channel
        super().__init__({
            "k": In(stream.Signature(read_request(c, key_note(c)))),
            "v": In(stream.Signature(read_request(c, value_note(c)))),
            "shared": In(stream.Signature(read_request(c, shared_note(c)))),
            "ar": Out(stream.Signature(ar_layout(c))), "r": In(stream.Signature(r_layout(c))),
            "k_first": In(1), "k_room": In(n), "v_room": In(n), "k_begun": Out(n), "v_begun": Out(n),
            "local": Out(stream.Signature(row_beat(c, local_note(c)))),
            "shared_beats": Out(stream.Signature(row_beat(c, shared_note(c)))),
            "asked": Out(c.beats_bits), "asked_class": Out(AskedClass), "waits": Out(waits_layout()), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.issue = issue = ReadIssue(c)
        m.submodules.pool = pool = BeatPool(c)
        m.submodules.choice = choice = RowChoice(c)
        for name in ("k", "v", "shared", "ar"):
            connect(m, wiring.flipped(getattr(self, name)), getattr(issue, name))
        connect(m, wiring.flipped(self.r), pool.r)
        connect(m, pool.completed, choice.completed)
        m.d.comb += [
            issue.released.eq(pool.released), issue.k_first.eq(self.k_first), issue.k_enough.eq(choice.k_enough),
            issue.v_enough.eq(choice.v_enough),
            issue.start.eq(pool.start), pool.issued.eq(issue.issued),
            choice.issued.eq(issue.issued), choice.k_room.eq(self.k_room), choice.v_room.eq(self.v_room),
            self.k_begun.eq(choice.k_begun), self.v_begun.eq(choice.v_begun),
        ]
        looked_up = self._read_out(m, issue, pool, choice)
        self._count(m, issue, pool)
        inside = Cat(choice.o.valid, looked_up, self.local.valid, self.shared_beats.valid)
        m.d.comb += self.idle.eq(issue.idle & ~inside.any())
        return m

    def _read_out(self, m: Module, issue: ReadIssue, pool: BeatPool, choice: RowChoice) -> Signal:
        """A beat's note accompanies its look-up: table, then pool. All stop while a shared beat waits. Returns whether
        there is a beat between the two."""
        c = self.config
        row = choice.o.payload
        number = Signal(c.beats_bits)                        # of the beat that is looked up
        last = Signal()
        move = Signal()
        stages = [Signal(complete_row(c), name=f"row{n}", reset_less=True) for n in range(2)]
        ends = [Signal(2, name=f"ends{n}", reset_less=True) for n in range(2)]
        valids = [Signal(name=f"beat{n}_valid") for n in range(2)]
        with m.If(move):
            m.d.sync += [valids[0].eq(choice.o.valid), valids[1].eq(valids[0]), stages[0].eq(row),
                         stages[1].eq(stages[0]), ends[0].eq(Cat(number == 0, last)), ends[1].eq(ends[0])]
            with m.If(choice.o.valid):
                m.d.sync += number.eq(Mux(last, 0, wrap(number + 1, c.beats_bits)))
        out, valid = stages[1], valids[1]
        is_shared = out.note.origin == ReadClass.SHARED
        m.d.comb += [
            last.eq(number + 1 == row.beats),
            move.eq(~(self.shared_beats.valid & ~self.shared_beats.ready)), pool.move.eq(move),
            choice.o.ready.eq(move & last),
            pool.lookup.valid.eq(choice.o.valid), pool.lookup.id.eq(row.id), pool.lookup.beat.eq(number),
            issue.freed.valid.eq(choice.o.valid & last & move), issue.freed.payload.eq(row.id),
            self.local.valid.eq(valid & ~is_shared), self.shared_beats.valid.eq(valid & is_shared),
            Value.cast(self.shared_beats.payload.note).eq(out.note.bits[:shared_note(c).size]),
            self.local.payload.note.value.eq(out.note.origin == ReadClass.VALUE),
            self.local.payload.note.bits.eq(narrow(out.note.bits, len(self.local.payload.note.bits))),
        ]
        for port in (self.local, self.shared_beats):
            m.d.comb += [port.p.data.eq(pool.o.data), port.p.error.eq(pool.o.error), port.p.beats.eq(out.beats),
                         Cat(port.p.first, port.p.last).eq(ends[1])]
        contract(m, row.beats != 0, "no row is empty", when=choice.o.valid)
        contract(m, self.local.ready, "beats of K and V rows are always taken", when=self.local.valid)
        return valids[0]

    def _count(self, m: Module, issue: ReadIssue, pool: BeatPool) -> None:
        """What is asked for, and which classes wait."""
        c = self.config
        m.submodules.outstanding = outstanding = ReadWaits(c)
        issued = issue.issued
        m.d.sync += [self.asked.eq(narrow(issued.beats, c.beats_bits) & issued.valid.replicate(c.beats_bits)),
                     self.asked_class.eq(issued.asked)]
        m.d.comb += [outstanding.issued.eq(issued), outstanding.completed.eq(pool.completed.payload),
                     outstanding.completed_valid.eq(pool.completed.valid), self.waits.eq(outstanding.waits)]

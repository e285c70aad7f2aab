"""All reads of one memory channel: requests to AXI bursts, beats in any order to rows, step by step."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.widths import narrow
from ..stream.read_layouts import key_note, plane_mode, read_request, shared_note, value_note
from .axi import ar_layout, r_layout
from .beat_pool import BeatPool
from .read_issue import AskedClass, ReadIssue
from .read_waits import ReadWaits, waits_layout
from .row_choice import RowChoice
from .row_step import ReadClass, local_note, row_step, step_control
from .row_steps import RowSteps, step_command


class ChannelReader(wiring.Component):
    """Reads of one channel (`ReadIssue`), the pool of their beats (`BeatPool`), complete rows in any order
    (`RowChoice`), the steps in which they are read out (`RowSteps`): to the slices (`local`) or to the shared path
    (`shared_steps`).

    `LATENCY` = 7 cycles from a row's last beat on `r` to its first step (one more from a queue of more than 48 reads);
    2 from a request to `ar`. One burst, one beat in, one step out per cycle, rows back to back without a gap. While a
    shared step waits, no step leaves. Whoever takes words must do so without waiting for other rows of this channel.
    """

    #: cycles from a row's last beat to its first step, with at most 48 reads
    LATENCY = 7

    #: reads of K and V of generation; everything else, which goes first
    k: stream.Interface
    v: stream.Interface
    shared: stream.Interface
    #: K rows go before V rows, else V rows before K rows
    k_first: Signal
    #: AXI read address and read data (always taken)
    ar: stream.Interface
    r: stream.Interface
    #: how rows of the planes become operands, index = lsb; of shared rows index = `ReadKind`
    k_modes: data.View
    v_modes: data.View
    shared_modes: data.View
    #: per slice of the channel: a whole K (V) row more has room; one has been begun in this cycle
    k_room: Signal
    v_room: Signal
    k_begun: Signal
    v_begun: Signal
    #: steps of K and V rows of generation, to all slices of the channel; always taken
    local: stream.Interface
    #: steps of shared rows
    shared_steps: stream.Interface
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
            "k_modes": In(data.ArrayLayout(plane_mode(c), 2)), "v_modes": In(data.ArrayLayout(plane_mode(c), 2)),
            "shared_modes": In(data.ArrayLayout(plane_mode(c), 5)),
            "k_first": In(1), "k_room": In(n), "v_room": In(n), "k_begun": Out(n), "v_begun": Out(n),
            "local": Out(stream.Signature(row_step(c, local_note(c)))),
            "shared_steps": Out(stream.Signature(row_step(c, shared_note(c)))),
            "asked": Out(c.beats_bits), "asked_class": Out(AskedClass), "waits": Out(waits_layout()), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.issue = issue = ReadIssue(c)
        m.submodules.pool = pool = BeatPool(c)
        m.submodules.choice = choice = RowChoice(c)
        m.submodules.steps = steps = RowSteps(c)
        for name in ("k", "v", "shared", "ar"):
            connect(m, wiring.flipped(getattr(self, name)), getattr(issue, name))
        connect(m, wiring.flipped(self.r), pool.r)
        connect(m, pool.completed, choice.completed)
        connect(m, choice.o, steps.i)
        m.d.comb += [
            issue.released.eq(pool.released), issue.k_first.eq(self.k_first),
            issue.start.eq(pool.start), pool.issued.eq(issue.issued),
            choice.issued.eq(issue.issued), choice.k_modes.eq(self.k_modes), choice.v_modes.eq(self.v_modes),
            choice.shared_modes.eq(self.shared_modes), choice.k_room.eq(self.k_room), choice.v_room.eq(self.v_room),
            self.k_begun.eq(choice.k_begun), self.v_begun.eq(choice.v_begun),
        ]
        self._read_out(m, issue, pool, steps)
        self._count(m, issue, pool)
        inside = Cat(choice.o.valid, ~steps.idle, self.local.valid, self.shared_steps.valid)
        m.d.comb += self.idle.eq(issue.idle & ~inside.any())
        return m

    def _read_out(self, m: Module, issue: ReadIssue, pool: BeatPool, steps: RowSteps) -> None:
        """A step's control bits accompany its look-up: table, then pool. All stop while a shared step waits."""
        c = self.config
        command = steps.o.payload
        move = Signal()
        stages = [Signal(step_command(c), name=f"step{n}", reset_less=True) for n in range(2)]
        valids = [Signal(name=f"step{n}_valid") for n in range(2)]
        with m.If(move):
            m.d.sync += [valids[0].eq(steps.o.valid), valids[1].eq(valids[0]), stages[0].eq(command),
                         stages[1].eq(stages[0])]
        out, valid = stages[1], valids[1]
        is_shared = out.note.origin == ReadClass.SHARED
        m.d.comb += [
            move.eq(~(self.shared_steps.valid & ~self.shared_steps.ready)), steps.o.ready.eq(move), pool.move.eq(move),
            pool.lookup.valid.eq(steps.o.valid & command.read), pool.lookup.id.eq(command.id),
            pool.lookup.beat.eq(command.beat), pool.lookup.final.eq(command.final),
            issue.freed.valid.eq(steps.o.valid & command.last & move), issue.freed.payload.eq(command.id),
            self.local.valid.eq(valid & ~is_shared), self.shared_steps.valid.eq(valid & is_shared),
            Value.cast(self.shared_steps.payload.note).eq(out.note.bits[:shared_note(c).size]),
            self.local.payload.note.value.eq(out.note.origin == ReadClass.VALUE),
            self.local.payload.note.bits.eq(narrow(out.note.bits, len(self.local.payload.note.bits))),
        ]
        for port in (self.local, self.shared_steps):
            m.d.comb += [port.payload.data.eq(pool.o.data), port.payload.error.eq(pool.o.error),
                         *[getattr(port.payload, key).eq(getattr(out, key)) for key in step_control(c)]]
        contract(m, self.local.ready, "steps of K and V rows are always taken", when=self.local.valid)

    def _count(self, m: Module, issue: ReadIssue, pool: BeatPool) -> None:
        """What is asked for, and which classes wait."""
        c = self.config
        m.submodules.outstanding = outstanding = ReadWaits(c)
        issued = issue.issued
        m.d.sync += [self.asked.eq(narrow(issued.beats, c.beats_bits) & issued.valid.replicate(c.beats_bits)),
                     self.asked_class.eq(issued.asked)]
        m.d.comb += [outstanding.issued.eq(issued), outstanding.completed.eq(pool.completed.payload),
                     outstanding.completed_valid.eq(pool.completed.valid), self.waits.eq(outstanding.waits)]

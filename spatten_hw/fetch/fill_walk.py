"""Fill walk: the rows of all survivors, position by position, for the K or the V SRAM."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.one_hot import lowest_set
from ..primitives.pipeline import delay
from ..primitives.widths import narrow, wrap
from ..stream.layouts import fill_command
from ..stream.read_layouts import ReadKind
from .row_reads import shared_row

#: Rows of fills outstanding. All shared rows take one way, in order: what fills have in front of a Q row delays it, and
#: a prompt of short vectors asks for a Q row every few cycles, no more ahead than there are slots.
MOST_ROWS = 32
#: Cycles from a row's return to the report that counts it: the slices have written it by then.
WRITTEN_STAGES = 3


def filled_layout() -> data.StructLayout:
    """Half `half` of the K (V: `value`) SRAM holds the rows of a fill command; `lsb`: of the LSB plane."""
    return data.StructLayout({"value": 1, "half": 1, "lsb": 1})


def returned_layout() -> data.StructLayout:
    """The last chunk of a filling row came."""
    return data.StructLayout({"value": 1, "half": 1})


class FillWalk(wiring.Component):
    """`cmd` (`fill_command`) → `row` (`shared_row`), a cycle after each `granted`; `filled` when all rows are there.

    Position p = 0 … rows − 1 of the dense list is token `list_ids[p mod S]` of list row p div S; it goes to
    slice (p + kv_head) mod S, row p div S. One position per cycle, at most `MOST_ROWS` outstanding; commands without a
    gap, but one for a half that is still being filled (K and V each) waits until that is done. `returned` counts rows
    in; `filled` (always taken) comes `WRITTEN_STAGES` cycles behind a command's last one.
    """

    #: Fill commands, K and V.
    cmd: stream.Interface
    #: A position is to be read …
    wants: Signal
    #: … and is, now (only with `wants`).
    granted: Signal
    #: Its row, in the cycle after.
    row: data.View
    #: Row of the dense list that is wanted …
    list_row: Signal
    #: … and its token ids, a cycle later.
    list_ids: data.View
    #: Rows that have come.
    returned: stream.Interface
    #: Halves that are complete.
    filled: stream.Interface
    #: A K row (bit 0), a V row (bit 1) is still missing.
    missing: Signal
    #: Nothing to be done.
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "cmd": In(stream.Signature(fill_command(c))), "wants": Out(1), "granted": In(1), "row": Out(shared_row(c)),
            "list_row": Out(c.row_bits), "list_ids": In(data.ArrayLayout(unsigned(c.token_bits), c.slices)),
            "returned": In(stream.Signature(returned_layout())), "filled": Out(stream.Signature(filled_layout())),
            "missing": Out(2), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        spread = clog2(c.slices)
        active = Signal()
        command = Signal(fill_command(c), reset_less=True)
        position = Signal(c.count_bits)
        last = Signal()
        free = Signal()
        blocked = Signal()
        pending = Signal(4)                              # by half + 2·value
        rows_out = Signal(range(MOST_ROWS + 1))          # outstanding
        able = Signal(init=1)
        rows_left = Signal.like(rows_out)
        m.d.comb += rows_left.eq(rows_out + self.granted - self.returned.valid)
        m.d.sync += [rows_out.eq(rows_left), able.eq(rows_left != MOST_ROWS)]
        m.d.comb += [
            last.eq(position + 1 == command.rows), free.eq(~active | (self.granted & last)),
            blocked.eq(pending.bit_select(self._number(self.cmd.payload), 1)),
            self.cmd.ready.eq(free & ~blocked),
            self.wants.eq(active & able), self.list_row.eq(narrow(position[spread:], c.row_bits)),
        ]
        with m.If(self.granted):
            m.d.sync += position.eq(Mux(last, 0, position + 1))
        taken = Signal()
        m.d.comb += taken.eq(self.cmd.valid & self.cmd.ready)
        with m.If(free):
            m.d.sync += [active.eq(taken), command.eq(self.cmd.payload)]

        # The cycle after: the list's row is there.
        asked = delay(m, command, 1, "asked")
        at = delay(m, position, 1, "asked_position")
        m.d.comb += [
            self.row.head.eq(asked.kv_head), self.row.token.eq(self.list_ids[at[:spread]] if spread
                                                               else self.list_ids[0]),
            self.row.note.half.eq(asked.half),
            self.row.note.slice.eq(wrap(at[:spread] + asked.kv_head, spread) if spread else 0),
            self.row.note.index.eq(narrow(at[spread:], len(self.row.note.index))),
            self.row.note.kind.eq(Mux(asked.value, Mux(asked.lsb, ReadKind.VALUE_LSB, ReadKind.VALUE),
                                      Mux(asked.lsb, ReadKind.KEY_LSB, ReadKind.KEY))),
        ]
        self._count(m, taken, pending)
        m.d.comb += self.idle.eq(~active & (pending == 0) & ~self.cmd.valid)
        contract(m, active, "a granted position was wanted", when=self.granted)
        rows = self.cmd.payload.rows
        contract(m, (rows != 0) & (rows <= c.max_tokens), "a fill has 1 to max_tokens rows", when=self.cmd.valid)
        contract(m, position < command.rows, "the position exists", when=active)
        return m

    def _number(self, of) -> Signal:
        """Number of an SRAM half: half + 2·value."""
        return of.half + (of.value << 1)

    def _count(self, m: Module, taken: Signal, pending: Signal) -> None:
        """Per SRAM half: rows still to come, and the report when none is left."""
        c = self.config
        command, came = self.cmd.payload, self.returned
        came_valid = delay(m, came.valid, WRITTEN_STAGES - 1, "came_valid", reset=True)
        came_number = delay(m, self._number(came.payload), WRITTEN_STAGES - 1, "came_number")
        done = Signal(4)
        report = Signal(4)
        lsbs = Signal(4)
        m.d.comb += [came.ready.eq(1), report.eq(lowest_set(done)), self.filled.valid.eq(done.any())]
        for n in range(4):
            left = Signal(c.count_bits, name=f"left_{n}", reset_less=True)
            with m.If(taken & (self._number(command) == n)):
                m.d.sync += [left.eq(command.rows), pending[n].eq(1), lsbs[n].eq(command.lsb)]
            with m.Elif(report[n]):
                m.d.sync += pending[n].eq(0)
            with m.Elif(came_valid & (came_number == n)):
                m.d.sync += left.eq(left - 1)
            m.d.comb += done[n].eq(pending[n] & (left == 0))
            with m.If(report[n]):
                m.d.comb += [self.filled.payload.half.eq(n & 1), self.filled.payload.value.eq(n >> 1),
                             self.filled.payload.lsb.eq(lsbs[n])]
            contract(m, pending[n] & (left != 0), f"a row that came was asked for: half {n}",
                     when=came_valid & (came_number == n))
        m.d.comb += [self.missing[0].eq(pending[:2].any()), self.missing[1].eq(pending[2:].any())]
        contract(m, self.filled.ready, "reports are always taken", when=self.filled.valid)

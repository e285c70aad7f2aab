"""LSBs by key: what the keys without LSBs add to the scores of a flat query, which is nothing."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import always_taken
from ..primitives.one_hot import lowest_set, one_hot_index, without_lowest
from ..primitives.widths import wrap
from ..stream.fifo import StreamFifo, never_full
from .far_list import far_row

#: Rows that may wait for a slice, and of those how many may be on their way when its queue is seen to be full.
QUEUE, MARGIN = 8, 4


def far_gang(c: SpAttenConfig) -> data.StructLayout:
    """A gang with flat members, whose first slot is `slot`: the flat ones, bit i that of slot + i."""
    return data.StructLayout({"slot": unsigned(c.slot_bits), "members": unsigned(c.max_group)})


def far_score(c: SpAttenConfig) -> data.StructLayout:
    """Row `row` of the vector in `slot` is far: its score stays."""
    return data.StructLayout({"slot": unsigned(c.slot_bits), "row": unsigned(c.row_bits)})


class Untouched(wiring.Component):
    """Every far key of every flat member once, per slice, so that each has as many scores as in the first pass and the
    maximum is that of all.

    `i`: gangs, at most one per slot; always taken. `read` (slot below row) → `found`, `far_row`, one cycle later (a
    `FarList`). `o[s]`: in any time. A row of a member per cycle, two cycles between members.
    """

    i: stream.Interface
    read: Signal
    found: data.View
    o: list[stream.Interface]
    busy: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "i": In(stream.Signature(far_gang(c))),
            "read": Out(c.slot_bits + c.row_bits), "found": In(far_row(c)),
            "o": Out(stream.Signature(far_score(c))).array(c.slices), "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.gangs = gangs = never_full(far_gang(c), c.slots)
        wiring.connect(m, wiring.flipped(self.i), gangs.i)
        gang = gangs.o.p
        left = Signal(c.max_group)
        row = Signal(c.row_bits)
        walking = Signal()
        room = Signal()
        read = Signal()
        ends = Signal()
        shown = Signal()
        member = Signal(c.max_group)
        m.d.comb += [
            member.eq(lowest_set(left)), self.read.eq(Cat(gang.slot, row)),
            # What is read beyond a vector's last row is dropped.
            read.eq(walking & room & ~ends), ends.eq(shown & self.found.last),
            gangs.o.ready.eq(ends & (without_lowest(left) == 0)),
            self.busy.eq(gangs.o.valid | walking),
        ]
        m.d.sync += shown.eq(read)
        with m.If(read):
            m.d.sync += row.eq(row + 1)
        with m.If(ends):
            m.d.sync += [left.eq(without_lowest(left)), row.eq(0), walking.eq(without_lowest(left) != 0)]
        with m.Elif(~walking & gangs.o.valid):
            m.d.sync += [left.eq(gang.members), row.eq(0), walking.eq(1)]

        where = Signal(far_score(c), reset_less=True)
        m.d.sync += [where.row.eq(row), where.slot.eq(wrap(gang.slot + one_hot_index(member), c.slot_bits))]
        levels = []
        for s in range(c.slices):
            m.submodules[f"queue_{s}"] = queue = StreamFifo(far_score(c), QUEUE)
            m.d.comb += [queue.i.valid.eq(shown & self.found.far[s]), queue.i.payload.eq(where)]
            wiring.connect(m, queue.o, wiring.flipped(self.o[s]))
            always_taken(m, queue.i, f"far keys of slice {s}")
            levels.append(queue.level)
            with m.If(queue.o.valid):
                m.d.comb += self.busy.eq(1)
        m.d.sync += room.eq(Cat(level <= QUEUE - MARGIN for level in levels).all())
        return m

"""Gather of gangs: probabilities go to the slices; when all members of a gang are there, its V rows are handed out."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.widths import wrap
from ..stream.fifo import never_full, never_full_latency
from ..stream.layouts import kept_row, tag_layout, value_entry
from .gang_walk import GangWalk, gang_job
from .value_layouts import freed_items, gang_entry, prob_write


def gather_latency(c: SpAttenConfig) -> int:
    """Cycles from taking the first row of a gang's last vector to its entries (idle, sums free): register, queue, and
    the walk's four. Each further row follows a cycle behind."""
    return 5 + never_full_latency(c.items)


class GangGather(wiring.Component):
    """Takes the vectors behind local pruning, members of gangs in any order, and walks every gang as its last one
    arrives.

    Rate: one row per cycle in, one row per cycle out, both at once; gangs follow each other without a gap. A gang is
    walked after those whose last vector came before its own. Latency `gather_latency`. The probabilities leave one
    cycle after their row was taken, so they are in the slices' memories long before an entry that needs them is.

    Valid input: rows 0, 1, … of a vector in order, vectors one after the other; all members of a gang have as many
    rows; an item's number comes again only after `freed`.
    """

    #: Rows of probabilities behind local pruning; always taken.
    kept: stream.Interface
    #: They go to the probability memories of the slices.
    write: data.View
    #: Whether each half of the V SRAM is filled: gangs that use it wait.
    half_filled: Signal
    #: Row of the class lists, whose indexes by class come one cycle later; held while the walk stalls.
    list_row: Signal
    list_indexes: data.View
    #: Gangs in the order of the walk, for the output tree.
    gangs: stream.Interface
    #: Pulse: a gang's outputs have been read.
    freed: data.View
    #: Items that need the class lists no longer, in this cycle.
    walked: Signal
    #: Item whose tag is on `tag` one cycle later.
    tag_item: Signal
    tag: data.View
    #: A gang is incomplete, waits, is walked, or uses sums.
    busy: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "kept": In(stream.Signature(kept_row(c))),
            "write": Out(prob_write(c)),
            "half_filled": In(2),
            "list_row": Out(c.row_bits),
            "list_indexes": In(data.ArrayLayout(unsigned(c.row_bits), c.slices)),
            # Work of every slice, `entries[s]`; a slice with nothing to do only gets the gang's last entry.
            "entries": Out(stream.Signature(value_entry(c))).array(c.slices),
            "gangs": Out(stream.Signature(gang_entry(c))),
            "freed": In(freed_items(c)), "walked": Out(c.max_group.bit_length()),
            "tag_item": In(c.item_bits),
            "tag": Out(tag_layout(c)),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.walk = walk = GangWalk(c)
        # No more gangs wait than there are items.
        m.submodules.complete = complete = never_full(gang_job(c), c.items)
        wiring.connect(m, complete.o, walk.i)
        wiring.connect(m, walk.gangs, wiring.flipped(self.gangs))
        for s in range(c.slices):
            wiring.connect(m, walk.entries[s], wiring.flipped(self.entries[s]))

        valid = Signal()
        row = Signal(kept_row(c), reset_less=True)
        m.d.sync += [valid.eq(self.kept.valid), row.eq(self.kept.payload)]
        begins, ends = valid & (row.row == 0), valid & row.last
        passed = self._passed(m, begins, row.tag)
        m.d.comb += [
            self.kept.ready.eq(1),
            self.write.valid.eq(valid), self.write.item.eq(row.tag.item), self.write.row.eq(row.row),
            self.write.probs.eq(row.probs),
            walk.write.eq(valid), walk.item.eq(row.tag.item), walk.row.eq(row.row), walk.bits.eq(row.kept),
            walk.refetched.eq(row.tag.refetched),
            walk.first.eq(row.tag.first), walk.last.eq(row.last), complete.i.valid.eq(begins & passed),
            complete.i.p.first.eq(row.tag.first), complete.i.p.gang.eq(row.tag.gang),
            complete.i.p.kv_head.eq(row.tag.kv_head),
            complete.i.p.half.eq(row.tag.half), complete.i.p.stream.eq(row.tag.stream),
            walk.half_filled.eq(self.half_filled), walk.list_indexes.eq(self.list_indexes),
            self.list_row.eq(walk.list_row), walk.freed.eq(self.freed), self.walked.eq(walk.walked),
        ]
        m.submodules.tags = tags = Memory(shape=unsigned(tag_layout(c).size), depth=1 << c.item_bits, init=[])
        w, r = tags.write_port(), tags.read_port(transparent_for=())
        m.d.comb += [
            w.addr.eq(row.tag.item), w.data.eq(row.tag), w.en.eq(ends),
            r.addr.eq(self.tag_item), r.en.eq(1), self.tag.eq(r.data),
            self.busy.eq(valid | self._begun.any() | complete.o.valid | (complete.level != 0) | walk.busy),
        ]
        follows = Signal(c.row_bits)
        with m.If(valid):
            m.d.sync += follows.eq(Mux(row.last, 0, row.row + 1))
        contract(m, row.row == follows, "the rows of a vector come in order, none is missing", when=valid)
        return m

    def _passed(self, m: Module, begins: Signal, tag: data.View) -> Signal:
        """Whether the vector that begins is the last one of its gang: counts the others by their first item."""
        c = self.config
        self._begun = begun = Signal(1 << c.item_bits)
        count_bits = c.max_group.bit_length()
        counts = Signal(count_bits)
        passed = Signal()
        m.submodules.member_counts = memory = Memory(shape=unsigned(count_bits), depth=1 << c.item_bits, init=[])
        w, r = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            r.addr.eq(tag.first), w.addr.eq(tag.first), w.en.eq(begins), w.data.eq(counts),
            counts.eq(wrap(Mux(begun.bit_select(tag.first, 1), r.data, 0) + 1, count_bits)),
            passed.eq(counts == tag.gang),
        ]
        with m.If(begins):
            m.d.sync += begun.bit_select(tag.first, 1).eq(~passed)
        contract(m, (tag.gang != 0) & (counts <= tag.gang), "a gang has no more members than it says", when=begins)
        offset = wrap(tag.item - tag.first, c.item_bits)
        contract(m, offset < tag.gang, "an item is a member of its gang", when=begins)
        return passed

"""Prob×V: gangs, all slices, and the tree that adds their outputs (SpAtten, Figure 8, blocks 9 and 10)."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig
from ..fetch.plane import plane_of
from ..primitives.registers import local_copy
from ..shared import Shared
from ..stream.fifo import never_full_latency
from ..stream.job_layouts import job_layout
from ..stream.layouts import acc_chunk, kept_row
from ..stream.read_layouts import operand_chunk, read_request, shared_note, value_note
from .gang import GangGather, gather_latency
from .output_tree import FINISHED_LATENCY, OutputTree, output_queue, tree_latency
from .value import VALUE_LATENCY, ValueSlice, entry_latency
from .value_layouts import chunk_words, freed_items


def prob_value_latency(c: SpAttenConfig, chunks: int) -> int:
    """Cycles from taking the only row of a vector to the first chunk of its sums on `o`, V in the SRAM, idle."""
    return (gather_latency(c) + entry_latency() + chunks - 1 + VALUE_LATENCY + FINISHED_LATENCY
            + chunk_words(c, chunks) - 1 + tree_latency(c) + never_full_latency(output_queue(c)))


class ProbValueUnit(wiring.Component):
    """`GangGather` → S `ValueSlice`s → `OutputTree`.

    `kept`: what local pruning keeps, always taken. Rates and latencies are those of the parts; probabilities and
    `shared` reach the slices a cycle late.
    """

    #: The layer; constant while its data are inside.
    job: data.View
    #: Rows of probabilities behind local pruning, `kept_row`; always taken.
    kept: stream.Interface
    #: Bit per half: its V SRAM is full.
    values_ready: Signal
    #: Row of the class lists that the walk over a gang reads.
    list_row: Signal
    #: Its token indexes by class, one cycle later.
    list_indexes: data.View
    #: Per slice, V rows to read.
    reads: list[stream.Interface]
    #: Per slice, chunks of V rows.
    v_chunks: list[stream.Interface]
    #: Per slice, fills of its SRAM (and queries, which it leaves alone); always taken.
    shared: list[stream.Interface]
    #: Exact Σ P·V of work items, `acc_chunk`.
    o: stream.Interface
    #: Items that need the class lists no longer, in this cycle.
    walked: Signal
    #: Pulse: a gang has left the slices; its items are free.
    freed: data.View
    #: The half of the V SRAM that it used.
    freed_half: Signal
    #: A gang is incomplete, waits, or is worked on.
    busy: Signal
    #: V rows are on their way to a slice that has nothing to multiply.
    stall: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "job": In(job_layout(c)), "kept": In(stream.Signature(kept_row(c))), "values_ready": In(2),
            "list_row": Out(c.row_bits), "list_indexes": In(data.ArrayLayout(unsigned(c.row_bits), c.slices)),
            "reads": Out(stream.Signature(read_request(c, value_note(c)))).array(c.slices),
            "v_chunks": In(stream.Signature(operand_chunk(c, value_note(c)))).array(c.slices),
            "shared": In(stream.Signature(operand_chunk(c, shared_note(c)))).array(c.slices),
            "o": Out(stream.Signature(acc_chunk(c))),
            "freed": Out(freed_items(c)), "freed_half": Out(1), "walked": Out(c.max_group.bit_length()),
             "busy": Out(1), "stall": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        job = local_copy(m, self.job, "job_here")
        planes = [plane_of(m, c, job, name, name) for name in ("v_msb", "v_lsb")]
        m.submodules.gather = gather = GangGather(c)
        m.submodules.tree = tree = OutputTree(c)
        connect(m, flipped(self.kept), gather.kept)
        connect(m, gather.gangs, tree.gangs)
        connect(m, tree.o, flipped(self.o))
        has_lsb = Signal()
        m.d.comb += [
            gather.half_filled.eq(self.values_ready), self.list_row.eq(gather.list_row),
            gather.list_indexes.eq(self.list_indexes), gather.freed.eq(tree.freed),
            gather.tag_item.eq(tree.tag_item), tree.tag.eq(gather.tag), tree.chunks.eq(job.chunks),
            self.freed.eq(tree.freed), self.walked.eq(gather.walked),
        ]
        m.d.sync += [
            has_lsb.eq(job.v_lsb != 0),
        ]
        # Which half a gang uses, by its first item.
        halves = Array([Signal(name=f"half_{n}", reset_less=True) for n in range(c.items)])
        with m.If(self.kept.valid & self.kept.ready):
            m.d.sync += halves[self.kept.payload.tag.item].eq(self.kept.payload.tag.half)
        m.d.comb += self.freed_half.eq(halves[tree.freed.item])

        busy = Signal(c.slices)
        stall = Signal(c.slices)
        for s in range(c.slices):
            part = Shared(ValueSlice, c)
            m.submodules[f"slice_{s}"] = part
            connect(m, gather.entries[s], part.entries)
            connect(m, part.reads, flipped(self.reads[s]))
            connect(m, flipped(self.v_chunks[s]), part.v_chunks)
            connect(m, flipped(self.shared[s]), part.shared)
            m.d.comb += [
                part.number.eq(Const(s, c.slice_bits)), part.chunks.eq(job.chunks), part.has_lsb.eq(has_lsb),
                part.write.valid.eq(gather.write.valid), part.write.item.eq(gather.write.item),
                part.write.row.eq(gather.write.row), part.write.prob.eq(gather.write.probs[s]),
                tree.finished[s].eq(part.finished), part.drain.eq(tree.drain), tree.partial[s].eq(part.partial),
                busy[s].eq(part.busy), stall[s].eq(part.stall),
            ]
            for lsb, plane in enumerate(planes):
                m.d.comb += [getattr(part, f)[lsb].eq(plane[f])
                             for f in ("base", "head_stride", "token_stride", "beats")]
        m.d.sync += [self.busy.eq(Cat(busy, gather.busy, tree.busy).any()), self.stall.eq(stall.any())]
        return m

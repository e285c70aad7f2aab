"""Prob×V of one slice: its kept V rows times their probabilities, summed up for every work item."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import PROB_BITS, SpAttenConfig
from ..primitives.pipeline import Pipeline
from ..primitives.registers import NO_COLLISIONS, local_copy
from ..stream.fifo import StreamFifo, fifo_latency
from ..stream.job_layouts import STRIDE_BITS, head_stride_bits
from ..stream.layouts import value_entry
from ..stream.read_layouts import operand_chunk, read_request, shared_note, value_note
from .local_sums import LocalSums
from .open_rows import OpenRows
from .value_issue import ValueIssue
from .value_layouts import drain_command, partial_sums, planes, prob_lane
from .value_operands import ValueOperands
from .value_reads import VALUE_READS_LATENCY, ValueReads
from .value_sram import ValueSram
from .value_sums import DRAIN_LATENCY, SUMS_LATENCY, ValueSums

#: Cycles from the last product of a gang (its V chunk is taken, or its entry issues it) to `finished`: issue register,
#: memories, sums, count of open rows.
VALUE_LATENCY = 2 + SUMS_LATENCY + 1
#: Cycles from the decision on a product to the one in which its operands are multiplied.
ISSUE_STAGES = 2
#: Entries a slice may be behind the walk of the gangs.
ENTRIES = 64


def entry_latency(depth: int = ENTRIES) -> int:
    """Cycles from an entry to its first product (idle): queue, register."""
    return fifo_latency(depth) + 1


def request_latency(depth: int = ENTRIES) -> int:
    """Cycles from an entry to its request on `reads` (idle)."""
    return entry_latency(depth) + VALUE_READS_LATENCY


def drain_latency(c: SpAttenConfig) -> int:
    """Cycles from `drain` to `partial`."""
    return ISSUE_STAGES + LocalSums.LATENCY if c.local_sums else DRAIN_LATENCY


class ValueSlice(wiring.Component):
    """Adds prob · V of the rows it is told of into partial sums, which the output tree reads.

    Rate: one chunk product per cycle, from memory (a chunk of a V row is taken in the cycle of its last member) or from
    the V SRAM (prompts), without a gap between rows or gangs; one read request per cycle. Products of rows from
    memory go first: entries wait in their queue while there are any. Nothing behind the issue of a product ever stalls.
    Where sums are local, a `drain` takes the place of a product.

    Valid input: a gang's probabilities are written before its entries come; rows in memory answer requests, whole,
    chunk by chunk; `chunks`, `has_lsb` and the planes are constant while entries or rows are inside; Σ p of a work item
    ≤ 4096 + max_tokens.
    """

    #: Which slice this is; constant.
    number: Signal
    #: Chunks of a row, 1 … max_chunks.
    chunks: Signal
    #: V has an LSB plane.
    has_lsb: Signal
    #: Planes of V in the channel's memory, MSBs and LSBs.
    base: data.View
    head_stride: data.View
    token_stride: data.View
    #: Beats of a row.
    beats: data.View
    #: Probabilities of this slice.
    write: data.View
    #: Rows to multiply.
    entries: stream.Interface
    #: V rows wanted from memory, and their chunks.
    reads: stream.Interface
    v_chunks: stream.Interface
    #: What fills the V SRAM; always taken.
    shared: stream.Interface
    #: Bit of each gang's first sum: its products are all in the sums; until its first word is read.
    finished: Signal
    #: Word to read, and its sums `drain_latency` cycles later.
    drain: data.View
    partial: data.View
    #: An entry, a request or a row is inside or on its way.
    busy: Signal
    #: V rows are on their way and there is nothing to multiply.
    stall: Signal

    def __init__(self, config: SpAttenConfig, entries: int = ENTRIES):
        self.config = c = config
        self.depth = entries
        super().__init__({
            "number": In(c.slice_bits), "chunks": In(c.chunk_count_bits), "has_lsb": In(1),
            "base": In(planes(c.axi_addr_bits)),
            "head_stride": In(planes(head_stride_bits(c))),
            "token_stride": In(planes(STRIDE_BITS)),
            "beats": In(planes(c.beats_bits)),
            "write": In(prob_lane(c)),
            "entries": In(stream.Signature(value_entry(c))),
            "reads": Out(stream.Signature(read_request(c, value_note(c)))),
            "v_chunks": In(stream.Signature(operand_chunk(c, value_note(c)))),
            "shared": In(stream.Signature(operand_chunk(c, shared_note(c)))),
            "finished": Out(c.sums),
            "drain": In(drain_command(c)),
            "partial": Out(partial_sums(c)),
            "busy": Out(1), "stall": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.queue = queue = StreamFifo(value_entry(c), self.depth)
        m.submodules.issue = issue = ValueIssue(c)
        m.submodules.requests = requests = ValueReads(c)
        m.submodules.sram = sram = ValueSram(c)
        m.submodules.operands = operands = ValueOperands(c)
        m.submodules.sums = sums = LocalSums(c) if c.local_sums else ValueSums(c)
        m.submodules.open = rows = OpenRows(c)
        wiring.connect(m, wiring.flipped(self.entries), queue.i)
        wiring.connect(m, queue.o, issue.entries)
        wiring.connect(m, issue.reads, requests.i)
        wiring.connect(m, requests.o, wiring.flipped(self.reads))
        wiring.connect(m, wiring.flipped(self.v_chunks), issue.v_chunks)
        wiring.connect(m, wiring.flipped(self.shared), sram.shared)
        chunks, has_lsb = local_copy(m, self.chunks, "chunks_here"), local_copy(m, self.has_lsb, "has_lsb_here")
        m.d.comb += [
            issue.chunks.eq(chunks), issue.has_lsb.eq(has_lsb), sram.chunks.eq(chunks), sram.number.eq(self.number),
            requests.number.eq(self.number), requests.base.eq(self.base), requests.head_stride.eq(self.head_stride),
            requests.token_stride.eq(self.token_stride), requests.beats.eq(self.beats),
        ]

        # The product that is issued, then its probability and V chunk out of the memories, then the sums.
        op = issue.op
        stages = Pipeline(m)
        m.submodules.probs = probs = Memory(
            shape=unsigned(PROB_BITS), depth=1 << (c.item_bits + c.row_bits), init=[], attrs=NO_COLLISIONS)
        w, r = probs.write_port(), probs.read_port(transparent_for=())
        write = Signal(prob_lane(c))
        m.d.sync += write.eq(self.write)
        m.d.comb += [
            w.addr.eq(Cat(write.row, write.item)), w.data.eq(write.prob), w.en.eq(write.valid),
            r.addr.eq(Cat(op.row, op.item)), r.en.eq(1),
            sram.read.eq(op.valid & op.stored), sram.half.eq(op.half), sram.word.eq(op.address),
            operands.stored.eq(op.stored), operands.half_step.eq(op.half_step), operands.streamed.eq(issue.streamed),
            operands.read.eq(sram.data),
            sums.valid.eq(stages.flag(op.valid, 1, "valid")), sums.sum.eq(stages.delay(op.sum, 1, "sum")),
            sums.word.eq(stages.delay(op.word, 1, "word")), sums.prob.eq(r.data), sums.operands.eq(operands.o),
            self.partial.eq(sums.partial),
        ]
        if c.local_sums:
            m.d.comb += [
                issue.pause.eq(self.drain.valid), sums.drain.eq(stages.delay(self.drain, ISSUE_STAGES, "drained")),
                sums.drain.valid.eq(stages.flag(self.drain.valid, ISSUE_STAGES, "drains")),
            ]
        else:
            m.d.comb += sums.drain.eq(self.drain)

        # A row is done when its last product is stored.
        multiplying = Signal(SUMS_LATENCY + 2)
        m.d.sync += multiplying.eq(Cat(issue.any, multiplying[:-1]))
        drain = Signal(drain_command(c))
        m.d.sync += drain.eq(self.drain)
        ends = stages.flag(op.valid & op.ends, SUMS_LATENCY + 1, "ends")
        m.d.comb += [
            rows.opens.eq(issue.opens), rows.opens_sum.eq(issue.opens_sum),
            rows.last.eq(issue.last), rows.last_sum.eq(issue.opens_sum),
            rows.closes.eq(ends), rows.closes_sum.eq(stages.delay(op.first_sum, SUMS_LATENCY + 1, "ends_sum")),
            rows.clear.eq(drain.valid & drain.first), rows.clear_sum.eq(drain.sum),
            self.finished.eq(rows.finished),
            self.busy.eq(queue.o.valid | (queue.level != 0) | issue.busy | requests.busy | rows.any),
            self.stall.eq(rows.any & ~issue.any & ~multiplying.any()),
        ]
        return m

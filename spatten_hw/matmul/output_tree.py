"""Adder tree over the slices: outputs of finished gangs, chunk by chunk."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.adder_tree import adder_tree
from ..primitives.pipeline import Pipeline
from ..primitives.tree import tree_stages
from ..primitives.widths import narrow, wrap
from ..stream.fifo import StreamFifo, never_full
from ..stream.layouts import acc_chunk, tag_layout
from ..stream.skid import HalfBuffer
from .value import drain_latency
from .value_layouts import chunk_words, drain_command, freed_items, gang_entry, partial_sums, word_bits

#: Cycles from `finished` to the first `drain` of the gang: all slices, choice, command.
FINISHED_LATENCY = 3


def tree_latency(c: SpAttenConfig) -> int:
    """Cycles from a chunk's (last) `drain` into the output queue: slices, tree, sum of its words."""
    return drain_latency(c) + tree_stages(c.slices) + 1


def output_queue(c: SpAttenConfig) -> int:
    """Chunks its queue holds: one that is taken from at once never waits for its own room; one more, since what follows
    holds only one. With one slice a chunk at a time is enough, and the wide memory is spared."""
    return tree_latency(c) + 4 if c.slices > 1 else 1


def chunk_period(c: SpAttenConfig, chunks: int) -> int:
    """Cycles from a chunk on `o` to the next of the same work item, if it is taken at once."""
    words = chunk_words(c, chunks)
    return words if output_queue(c) > 1 else words + tree_latency(c) + 2


class OutputTree(wiring.Component):
    """Reads the sums of one gang after the other, when all slices have finished it, and adds them up.

    Rate: one chunk per cycle; work items of 1 or 2 chunks take 4 cycles, since their sums are spread over 4 words
    (`value_layouts`). Between gangs two cycles. One slice: one chunk at a time (`chunk_period`). Latency from
    `finished` to the first chunk: `FINISHED_LATENCY`, the other words of the chunk, `tree_latency`, the queue. `o` may
    stall: a chunk is only read with room for it.
    """

    #: Chunks of a row.
    chunks: Signal
    #: Gangs in the order in which they were handed out.
    gangs: stream.Interface
    #: Bits of the slices: the gang with this first sum is finished.
    finished: data.View
    #: To all slices; `drain_latency` cycles later their words are on `partial`.
    drain: data.View
    partial: data.View
    #: Item whose tag is on `tag` one cycle later.
    tag_item: Signal
    tag: data.View
    #: Exact Σ p·v, in order, chunk by chunk.
    o: stream.Interface
    #: Pulse: outputs of a gang are in the queue, its items and sums are free.
    freed: data.View
    #: Outputs are read, added or wait.
    busy: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "chunks": In(c.chunk_count_bits),
            "gangs": In(stream.Signature(gang_entry(c))),
            "finished": In(data.ArrayLayout(c.sums, c.slices)),
            "drain": Out(drain_command(c)),
            "partial": In(data.ArrayLayout(partial_sums(c), c.slices)),
            "tag_item": Out(c.item_bits),
            "tag": In(tag_layout(c)),
            "o": Out(stream.Signature(acc_chunk(c))),
            "freed": Out(freed_items(c)),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        depth = output_queue(c)
        if depth > 1:
            queue: StreamFifo | HalfBuffer = never_full(acc_chunk(c), depth, wide=c.chunk * c.acc_bits)
        else:
            queue = HalfBuffer(acc_chunk(c))
        m.submodules.queue = queue
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        finished = Signal(c.sums)
        m.d.sync += finished.eq(Cat(Cat(bits[n] for bits in self.finished).all() for n in range(c.sums)))

        # One word after the other: the words of a chunk, the chunks of an item, the members of the gang.
        gang = self.gangs.p
        reads = Signal()
        room = Signal(range(depth + 1), init=depth)
        member = Signal(c.max_group.bit_length())
        chunk = Signal(c.chunk_bits)
        part = Signal(2)
        # Words of a chunk, less one: 3, 1 or 0.
        parts = Const(0, 2) if c.local_sums else Cat(self.chunks <= 2, self.chunks == 1)
        issue = Signal()
        last_part = Signal()
        last_chunk = Signal()
        last_member = Signal()
        m.d.comb += [
            last_part.eq(part == parts), last_chunk.eq(chunk == self.chunks - 1),
            last_member.eq(member + 1 == gang.gang),
            issue.eq(reads & ((part != 0) | (room != 0))),
            self.gangs.ready.eq(issue & last_part & last_chunk & last_member),
        ]
        with m.If(issue):
            m.d.sync += part.eq(Mux(last_part, 0, part + 1))
            with m.If(last_part):
                m.d.sync += chunk.eq(Mux(last_chunk, 0, chunk + 1))
                with m.If(last_chunk):
                    m.d.sync += member.eq(Mux(last_member, 0, member + 1))
        with m.If(self.gangs.ready):
            m.d.sync += reads.eq(0)
        with m.Elif(self.gangs.valid & finished.bit_select(gang.sum, 1)):
            m.d.sync += reads.eq(1)
        begins = issue & (part == 0)
        m.d.sync += room.eq(room - begins + (self.o.valid & self.o.ready))

        drain = Signal(drain_command(c))
        wide = narrow(chunk, word_bits(c))
        m.d.sync += [
            drain.valid.eq(issue), drain.sum.eq(wrap(gang.sum + member, c.sum_bits)),
            # As `sum_word`: with 1 chunk both bits count the words, with 2 the upper one.
            drain.word.eq(wide if c.local_sums else Cat(Mux(self.chunks == 1, part[0], wide[0]),
                              Mux(self.chunks == 1, part[1], Mux(self.chunks == 2, part[0], wide[1])), wide[2:])),
            drain.first.eq((part == 0) & (chunk == 0) & (member == 0)),
        ]
        m.d.comb += self.drain.eq(drain)
        self._add(m, queue, {
            "valid": issue, "ends": last_part, "chunk": chunk, "last": last_chunk, "frees": self.gangs.ready,
            "item": wrap(gang.item + member, c.item_bits), "first": gang.item, "gang": gang.gang,
        })
        m.d.comb += self.busy.eq(self.gangs.valid | (room != depth))
        contract(m, gang.gang != 0, "a gang has members", when=self.gangs.valid)
        return m

    def _add(self, m: Module, queue, word: dict) -> None:
        """The partial sums of the word read in this cycle, over slices and over the words of a chunk, into `queue`."""
        c = self.config
        stages = Pipeline(m)
        steps = drain_latency(c) + tree_stages(c.slices) + 1  # to the cycle in which the tree has the word's sum
        at = {name: (stages.flag if name in ("valid", "frees") else stages.delay)(value, steps, f"{name}_there")
              for name, value in word.items()}
        with_more = at["valid"] & ~at["ends"]
        for e in range(c.chunk):
            tree = adder_tree(m, [self.partial[s][e] for s in range(c.slices)], f"tree{e}")
            total = Signal(signed(c.acc_bits), name=f"total{e}")
            out = Signal(signed(c.acc_bits), name=f"out{e}", reset_less=True)
            m.d.comb += queue.i.p.acc[e].eq(out)
            m.d.sync += out.eq(total)
            if c.local_sums:        # one word per chunk
                m.d.comb += total.eq(tree)
                continue
            # Sums of the words before, 0 at a chunk's first one: by the reset of the register, without a multiplexer.
            before = Signal(signed(c.acc_bits), name=f"before{e}", reset_less=True)
            # The sum over all slices fits, whatever a part of it wraps to.
            m.d.comb += total.eq(wrap(tree + before, c.acc_bits).as_signed())
            m.d.sync += before.eq(total)
            with m.If(~with_more):
                m.d.sync += before.eq(0)
        final = at["valid"] & at["ends"]
        freed = Signal(freed_items(c))
        m.d.sync += [freed.valid.eq(at["frees"]), freed.item.eq(at["first"]), freed.gang.eq(at["gang"])]
        m.d.comb += [
            self.tag_item.eq(at["item"]), self.freed.eq(freed),
            queue.i.valid.eq(stages.flag(final, 1, "final_chunk")),
            queue.i.p.chunk.eq(stages.delay(at["chunk"], 1, "chunk_out")),
            queue.i.p.last.eq(stages.delay(at["last"], 1, "last_out")),
            queue.i.p.tag.eq(self.tag),
        ]

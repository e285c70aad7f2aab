"""Several queries of a generation job, block by block: each block is a gang, whose vectors share rows of K and V."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..primitives.compare_tree import max_tree
from ..primitives.products import times_few
from ..primitives.tree import tree_stages
from ..primitives.widths import narrow, wrap
from ..stream.class_keys import block_layout, dead_tokens, keys_below, keys_contract, positions_of
from ..stream.job_layouts import job_layout
from ..stream.layouts import slice_counts


class Blocks(wiring.Component):
    """`current` (`block_layout`): the block of the job's queries, `ready` when it is known.

    `start`: a job begins, `job` and `counts` are constant from some cycles before; `following`: on to the next block,
    or, after the last one, to the first one again (of the next head). A job of one block stays `ready`; another block
    takes `latency` cycles. A query sees the tokens up to its own (`job.causal`), or all. `dead`: tokens of every class
    that do not survive.
    """

    job: data.View
    counts: data.View
    start: Signal
    following: Signal
    current: data.View
    ready: Signal
    dead: data.View

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        #: What the block has; its limit; keys of the classes, the most of them; last row.
        self.latency = 4 + tree_stages(c.slices)
        super().__init__({
            "job": In(job_layout(c)), "counts": In(slice_counts(c)), "start": In(1), "following": In(1),
            "current": Out(block_layout(c)), "ready": Out(1), "dead": Out(slice_counts(c)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c, job, out = self.config, self.job, self.current
        total = Signal(c.count_bits, reset_less=True)
        offset = Signal(c.count_bits, reset_less=True)
        most = Signal(c.max_group.bit_length(), reset_less=True)
        first = Signal(c.count_bits)
        left = Signal(c.count_bits)
        m.d.comb += left.eq(narrow(total - first, c.count_bits))
        m.d.sync += [
            total.eq(Mux(job.queries == 0, 1, job.queries)), offset.eq(wrap(job.tokens - total, c.count_bits)),
            most.eq(positions_of(c, job.group)),
            # What the block has.
            out.first.eq(first), out.last.eq(left <= most),
            out.positions.eq(Mux(left <= most, narrow(left, len(most)), most)),
            # Its vectors, and what its queries see.
            out.gang.eq(narrow(times_few(out.positions, job.group), len(out.gang))), out.step.eq(job.causal),
            out.start.eq(Mux(job.causal, narrow(offset + out.first + 1, c.count_bits), job.tokens)),
            out.limit.eq(Mux(job.causal, narrow(offset + out.first + out.positions, c.count_bits), job.tokens)),
        ]
        dead = dead_tokens(m, c, job.tokens, self.counts, "dead_here")
        m.d.comb += self.dead.eq(dead)
        seen = Signal(slice_counts(c), reset_less=True)
        m.d.sync += [seen[lane].eq(keys) for lane, keys in enumerate(keys_below(c, out.limit, dead))]
        rows = max_tree(m, list(seen), "rows")
        m.d.sync += out.final_row.eq(wrap(rows - 1, c.row_bits))

        settle = Signal(range(self.latency + 1), init=self.latency)
        m.d.comb += self.ready.eq(settle == self.latency)
        with m.If(~self.ready):
            m.d.sync += settle.eq(settle + 1)
        with m.If(self.following):
            m.d.sync += first.eq(Mux(out.last, 0, wrap(first + most, c.count_bits)))
            with m.If(~out.last | (first != 0)):
                m.d.sync += settle.eq(0)
        with m.If(self.start):
            m.d.sync += first.eq(0)
            with m.If(job.queries > 1):
                m.d.sync += settle.eq(0)
        contract(m, (total != 0) & (first < total), "a block has queries", when=self.ready & self.following)
        contract(m, self.ready & ~self.start, "a block that is not known is not left", when=self.following)
        contract(m, rows != 0, "the queries of a block see keys", when=self.ready & self.following)
        keys_contract(m, c, list(seen), self.counts, self.ready & self.following)
        return m

"""Order of work of the pruner: what happens before a layer's data moves, and after."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..primitives.widths import narrow
from ..stream.job_layouts import job_layout
from .rows import row_bits

#: Cycles from the acceptance of PREPARE to its `done`, without zeroing, loading and pruning.
PREPARE_CYCLES = 6
#: Cycles from the acceptance of FINISH (accumulators idle) to its `done`, without stores and without the
#: cycles of the rows merged: one per row of the alive list, more for rows with bank conflicts; zeroing takes
#: one cycle more than it has rows.
FINISH_CYCLES = 11


class CascadeControl(wiring.Component):
    """One `op` at a time, one `done` for each; drives the blocks of the pruner and touches no data.

    PREPARE: clear, load scores, restart / load ids / continue, check, prune tokens, prune heads. FINISH: wait for the
    token accumulators, merge the layer's sums, store ids, store scores. Head totals of the layers before may still be
    on their way: what clears, sets, compares or stores them first waits until all have `drained`. Outputs
    that start something are pulses; `loading`, `merging`, `storing` are levels. An error in PREPARE (or FINISH with
    nothing alive) leaves nothing alive, so that no job can continue it unawares.

    Totals need no initialisation: rows of the score memory from `zeroed` on have not been written since
    the last clear (or reset) and are zeroed before they are first loaded, compared or merged.
    """

    op: stream.Interface
    done: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        heads = c.max_heads.bit_length()
        super().__init__({
            "job": In(job_layout(c)),
            "op": In(stream.Signature(data.StructLayout({"finish": 1}))),
            "done": Out(stream.Signature(data.StructLayout({"error": 1}))),
            "busy": Out(1),
            # State of the blocks.
            "alive_tokens": In(c.count_bits), "last_id": In(c.token_bits),
            "alive_heads": In(heads), "heads_alive": In(c.max_heads),
            "load_done": In(1), "load_error": In(1), "store_done": In(1), "members_end": In(1),
            "sums_idle": In(1), "heads_idle": In(1), "drained": In(1), "scan_busy": In(1), "scores_idle": In(1),
            # Orders to them.
            "restart": Out(1), "forget": Out(1), "clear_heads": Out(1), "clear_sums": Out(1),
            "zero": Out(1), "zero_row": Out(row_bits(c)),
            "load_start": Out(1), "load_ids": Out(1), "store_start": Out(1), "store_ids": Out(1),
            "scan_start": Out(1), "scan_count": Out(c.count_bits), "scan_every": Out(1),
            "head_start": Out(1), "head_mask": Out(c.max_heads),
            "merging": Out(1), "storing": Out(1),
            "select_heads": Out(1), "keep": Out(max(c.count_bits, heads)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        job = self.job
        error = Signal()
        keep_tokens = Signal(c.count_bits)
        keep_heads = Signal(c.max_heads.bit_length())
        zeroed = Signal(range(c.max_rows + 1))
        needed = Signal(range(c.max_rows + 1))
        head_range = Signal(c.max_heads)
        illegal = Signal()
        heads_known = Signal()       # the sums of all outputs are in the totals of the heads
        # Which use of the totals the zeroing goes before.
        before_pruning = Signal()
        before_merging = Signal()
        # Registered: the job is constant long before these are used, and the paths stay short.
        m.d.sync += [
            keep_tokens.eq(Mux(job.keep_tokens == 0, 1, job.keep_tokens)),
            keep_heads.eq(Mux(job.keep_heads == 0, 1, job.keep_heads)),
            needed.eq(narrow((job.tokens + (c.lanes - 1)) >> clog2(c.lanes), len(needed))),
            head_range.eq(Cat(h < job.heads for h in range(c.max_heads))),
            # Registered as well: by the time of an operation, no more outputs of those layers can come.
            heads_known.eq(self.drained & self.heads_idle),
        ]
        m.d.comb += [
            self.done.p.error.eq(error), self.zero_row.eq(narrow(zeroed, row_bits(c))),
            illegal.eq((self.alive_tokens == 0) | (self.alive_heads == 0) | (self.last_id >= job.tokens)
                       | (self.heads_alive & ~head_range).any()),
            self.keep.eq(Mux(self.select_heads, keep_heads, keep_tokens)),
            self.scan_count.eq(self.alive_tokens), self.head_mask.eq(self.heads_alive),
            self.busy.eq(1),
        ]

        with m.FSM(name="cascade"):
            with m.State("IDLE"):
                m.d.comb += [self.op.ready.eq(1), self.busy.eq(0)]
                m.d.sync += [error.eq(0), before_pruning.eq(0), before_merging.eq(0)]
                with m.If(self.op.valid & self.op.p.finish):
                    m.next = "DRAIN"
                with m.Elif(self.op.valid):
                    m.next = "CLEAR"

            # PREPARE
            with m.State("CLEAR"):
                # What is loaded replaces everything, also totals past the tokens and heads loaded.
                with m.If(~(job.clear_scores | job.load_scores)):
                    m.next = "LIST"
                with m.Elif(heads_known):
                    m.d.comb += self.clear_heads.eq(1)
                    m.d.sync += zeroed.eq(0)
                    m.next = "LIST"
                    with m.If(job.load_scores):
                        m.next = "ZERO"
            with m.State("ZERO"):
                with m.If(zeroed < needed):
                    m.d.comb += self.zero.eq(1)
                    m.d.sync += zeroed.eq(zeroed + 1)
                with m.Elif(before_pruning):
                    m.next = "PRUNE_TOKENS"
                with m.Elif(before_merging):
                    m.d.sync += self.merging.eq(1)
                    m.next = "MERGE"
                with m.Else():
                    m.d.comb += self.load_start.eq(1)
                    m.next = "LOAD_SCORES"
            with m.State("LOAD_SCORES"):
                with m.If(self.load_done):
                    m.next = "LIST"
                    with m.If(self.load_error):
                        m.next = "FAIL"
            with m.State("LIST"):
                m.next = "CHECK"
                with m.If(job.restart):
                    m.d.comb += self.restart.eq(1)
                with m.Elif(job.load_ids):
                    m.d.comb += [self.load_start.eq(1), self.load_ids.eq(1)]
                    m.next = "LOAD_IDS"
            with m.State("LOAD_IDS"):
                m.d.comb += self.load_ids.eq(1)
                with m.If(self.load_done):
                    m.next = "CHECK"
                    with m.If(self.load_error):
                        m.next = "FAIL"
            with m.State("CHECK"):
                m.next = "PRUNE_TOKENS"
                with m.If(illegal):
                    m.next = "FAIL"
            with m.State("PRUNE_TOKENS"):
                m.next = "PRUNE_HEADS"
                with m.If(keep_tokens < self.alive_tokens):
                    with m.If(zeroed < needed):
                        m.d.sync += before_pruning.eq(1)
                        m.next = "ZERO"
                    with m.Else():
                        m.d.comb += self.scan_start.eq(1)
                        m.next = "TOKENS"
            with m.State("TOKENS"):
                with m.If(self.members_end):
                    m.next = "PRUNE_HEADS"
            with m.State("PRUNE_HEADS"):
                with m.If(keep_heads >= self.alive_heads):
                    m.next = "DONE"
                with m.Elif(heads_known):
                    m.d.comb += self.head_start.eq(1)
                    m.next = "HEADS"
            with m.State("HEADS"):
                m.d.comb += self.select_heads.eq(1)
                with m.If(self.members_end):
                    m.next = "DONE"

            # FINISH
            with m.State("DRAIN"):
                with m.If(self.sums_idle):
                    with m.If(self.alive_tokens == 0):
                        m.next = "FAIL"
                    with m.Elif(zeroed < needed):
                        m.d.sync += before_merging.eq(1)
                        m.next = "ZERO"
                    with m.Else():
                        m.d.sync += self.merging.eq(1)
                        m.next = "MERGE"
            # `merging`, in these two states, is a register: it holds up every row of sums, wherever they are.
            with m.State("MERGE"):
                m.d.comb += self.scan_start.eq(1)
                m.next = "MERGING"
            with m.State("MERGING"):
                with m.If(~self.scan_busy & self.scores_idle):
                    m.d.comb += self.clear_sums.eq(1)
                    m.d.sync += self.merging.eq(0)
                    m.next = "DONE"
                    with m.If(job.store_ids | job.store_scores):
                        m.next = "HEAD_SUMS"
            with m.State("HEAD_SUMS"), m.If(heads_known):
                m.next = "STORE_IDS"
            with m.State("STORE_IDS"):
                m.next = "STORE_SCORES"
                with m.If(job.store_ids):
                    m.d.comb += [self.store_start.eq(1), self.store_ids.eq(1),
                                 self.scan_start.eq(1), self.head_start.eq(1)]
                    m.next = "STORING_IDS"
            with m.State("STORING_IDS"):
                m.d.comb += [self.storing.eq(1), self.store_ids.eq(1)]
                with m.If(self.store_done):
                    m.next = "STORE_SCORES"
            with m.State("STORE_SCORES"):
                m.d.comb += [self.scan_count.eq(job.tokens), self.scan_every.eq(1),
                             self.head_mask.eq(head_range)]
                m.next = "DONE"
                with m.If(job.store_scores):
                    m.d.comb += [self.store_start.eq(1), self.scan_start.eq(1), self.head_start.eq(1)]
                    m.next = "STORING_SCORES"
            with m.State("STORING_SCORES"):
                m.d.comb += self.storing.eq(1)
                with m.If(self.store_done):
                    m.next = "DONE"

            with m.State("FAIL"):
                m.d.comb += [self.forget.eq(1), self.clear_sums.eq(1)]
                m.d.sync += error.eq(1)
                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.valid.eq(1)
                with m.If(self.done.ready):
                    m.next = "IDLE"
        return m

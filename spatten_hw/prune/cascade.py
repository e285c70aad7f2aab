"""Order of work of the pruner: what happens before a layer's data moves, and after."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..primitives.widths import narrow
from ..stream.job_layouts import job_layout
from .rows import row_bits

#: Cycles from the acceptance of PREPARE to its `done`, without zeroing, loading and pruning.
PREPARE_CYCLES = 6
#: Cycles from the acceptance of FINISH (accumulators idle) to its `done`, without stores and merging. Merging
#: takes one cycle per row of the survivor list, more for rows with bank conflicts; zeroing takes one cycle more
#: than it has rows.
FINISH_CYCLES = 11


@dataclass
class _Facts:
    """Registers about the job and the totals. `zeroed`, `needed`: rows of the score memory that have been written, and
    that the job uses; `heads_known`: the head totals include the sums of all outputs; `before_pruning`,
    `before_merging`: the step that follows the zeroing; `head_range`: the heads of the job."""

    error: Signal
    keep_tokens: Signal
    keep_heads: Signal
    zeroed: Signal
    needed: Signal
    head_range: Signal
    heads_known: Signal
    before_pruning: Signal
    before_merging: Signal


class CascadeControl(wiring.Component):
    """One `op` at a time, one `done` for each; drives the blocks of the pruner and touches no data.

    PREPARE: clear, load scores, restart / load ids / continue, check, prune tokens, prune heads. FINISH: wait for the
    token accumulators, merge the layer's sums, store ids, store scores. Head sums of earlier layers may still be in
    flight, so a step that clears, sets, compares or stores head totals first waits until all have `drained`. Outputs
    that start something are pulses; `loading`, `merging`, `storing` are levels. An error in PREPARE (or FINISH with
    nothing alive) removes all survivors, so that no later job continues the cascade by mistake.

    Totals need no initialisation: rows of the score memory from `zeroed` on have not been written since
    the last clear (or reset) and are zeroed before they are first loaded, compared or merged.

    | operation | states, in order; those in brackets only if the job asks for it | method |
    |---|---|---|
    | PREPARE | (CLEAR), (ZERO, LOAD_SCORES) | `_start_scores` |
    | | LIST, (LOAD_IDS), CHECK | `_start_list` |
    | | PRUNE_TOKENS, (ZERO), (TOKENS), PRUNE_HEADS, (HEADS) | `_prune` |
    | FINISH | DRAIN, (ZERO), MERGE, MERGING | `_merge` |
    | | (HEAD_SUMS, STORE_IDS, STORING_IDS, STORE_SCORES, STORING_SCORES) | `_store` |
    | both | (FAIL), DONE | `_end` |
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
        f = self._facts(m)
        m.d.comb += [
            self.done.p.error.eq(f.error), self.zero_row.eq(narrow(f.zeroed, row_bits(self.config))),
            self.keep.eq(Mux(self.select_heads, f.keep_heads, f.keep_tokens)),
            self.scan_count.eq(self.alive_tokens), self.head_mask.eq(self.heads_alive),
            self.busy.eq(1),
        ]
        with m.FSM(name="cascade"):
            with m.State("IDLE"):
                m.d.comb += [self.op.ready.eq(1), self.busy.eq(0)]
                m.d.sync += [f.error.eq(0), f.before_pruning.eq(0), f.before_merging.eq(0)]
                with m.If(self.op.valid & self.op.p.finish):
                    m.next = "DRAIN"
                with m.Elif(self.op.valid):
                    m.next = "CLEAR"
            self._start_scores(m, f)
            self._start_list(m, f)
            self._prune(m, f)
            self._merge(m, f)
            self._store(m, f)
            self._end(m, f)
        return m

    def _facts(self, m: Module) -> _Facts:
        """Registered to keep paths short; the job is constant long before they are used."""
        c, job = self.config, self.job
        heads = c.max_heads.bit_length()
        rows = range(c.max_rows + 1)
        f = _Facts(Signal(name="error"), Signal(c.count_bits, name="keep_tokens"), Signal(heads, name="keep_heads"),
                   Signal(rows, name="zeroed"), Signal(rows, name="needed"), Signal(c.max_heads, name="head_range"),
                   Signal(name="heads_known"), Signal(name="before_pruning"), Signal(name="before_merging"))
        m.d.sync += [
            f.keep_tokens.eq(Mux(job.keep_tokens == 0, 1, job.keep_tokens)),
            f.keep_heads.eq(Mux(job.keep_heads == 0, 1, job.keep_heads)),
            f.needed.eq(narrow((job.tokens + (c.lanes - 1)) >> clog2(c.lanes), len(f.needed))),
            f.head_range.eq(Cat(h < job.heads for h in range(c.max_heads))),
            # By the time of an operation, no more outputs of the layers before can come.
            f.heads_known.eq(self.drained & self.heads_idle),
        ]
        return f

    def _start_scores(self, m: Module, f: _Facts) -> None:
        """PREPARE: a load replaces all totals, also those past the loaded tokens and heads."""
        job = self.job
        with m.State("CLEAR"):
            with m.If(~(job.clear_scores | job.load_scores)):
                m.next = "LIST"
            with m.Elif(f.heads_known):
                m.d.comb += self.clear_heads.eq(1)
                m.d.sync += f.zeroed.eq(0)
                m.next = "LIST"
                with m.If(job.load_scores):
                    m.next = "ZERO"
        with m.State("ZERO"):
            with m.If(f.zeroed < f.needed):
                m.d.comb += self.zero.eq(1)
                m.d.sync += f.zeroed.eq(f.zeroed + 1)
            with m.Elif(f.before_pruning):
                m.next = "PRUNE_TOKENS"
            with m.Elif(f.before_merging):
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

    def _start_list(self, m: Module, f: _Facts) -> None:
        """PREPARE: restarts, loads or keeps the survivor list, as the job says, and checks that it fits the job."""
        job = self.job
        illegal = Signal()
        m.d.comb += illegal.eq((self.alive_tokens == 0) | (self.alive_heads == 0) | (self.last_id >= job.tokens)
                               | (self.heads_alive & ~f.head_range).any())
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

    def _prune(self, m: Module, f: _Facts) -> None:
        """PREPARE: tokens, then heads, if fewer are to be kept than are alive."""
        with m.State("PRUNE_TOKENS"):
            m.next = "PRUNE_HEADS"
            with m.If(f.keep_tokens < self.alive_tokens):
                with m.If(f.zeroed < f.needed):
                    m.d.sync += f.before_pruning.eq(1)
                    m.next = "ZERO"
                with m.Else():
                    m.d.comb += self.scan_start.eq(1)
                    m.next = "TOKENS"
        with m.State("TOKENS"):
            with m.If(self.members_end):
                m.next = "PRUNE_HEADS"
        with m.State("PRUNE_HEADS"):
            with m.If(f.keep_heads >= self.alive_heads):
                m.next = "DONE"
            with m.Elif(f.heads_known):
                m.d.comb += self.head_start.eq(1)
                m.next = "HEADS"
        with m.State("HEADS"):
            m.d.comb += self.select_heads.eq(1)
            with m.If(self.members_end):
                m.next = "DONE"

    def _merge(self, m: Module, f: _Facts) -> None:
        """FINISH: merges the layer's sums into the totals. `merging` is a register because of its large fan-out: it
        stalls every row of sums."""
        job = self.job
        with m.State("DRAIN"):
            with m.If(self.sums_idle):
                with m.If(self.alive_tokens == 0):
                    m.next = "FAIL"
                with m.Elif(f.zeroed < f.needed):
                    m.d.sync += f.before_merging.eq(1)
                    m.next = "ZERO"
                with m.Else():
                    m.d.sync += self.merging.eq(1)
                    m.next = "MERGE"
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

    def _store(self, m: Module, f: _Facts) -> None:
        """FINISH: stores the survivors, then the importance."""
        job = self.job
        with m.State("HEAD_SUMS"), m.If(f.heads_known):
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
                         self.head_mask.eq(f.head_range)]
            m.next = "DONE"
            with m.If(job.store_scores):
                m.d.comb += [self.store_start.eq(1), self.scan_start.eq(1), self.head_start.eq(1)]
                m.next = "STORING_SCORES"
        with m.State("STORING_SCORES"):
            m.d.comb += self.storing.eq(1)
            with m.If(self.store_done):
                m.next = "DONE"

    def _end(self, m: Module, f: _Facts) -> None:
        """After an error nothing is alive; `done` waits until it is taken."""
        with m.State("FAIL"):
            m.d.comb += [self.forget.eq(1), self.clear_sums.eq(1)]
            m.d.sync += f.error.eq(1)
            m.next = "DONE"
        with m.State("DONE"):
            m.d.comb += self.done.valid.eq(1)
            with m.If(self.done.ready):
                m.next = "IDLE"

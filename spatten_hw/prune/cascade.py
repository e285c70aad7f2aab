"""Order of work of the pruner: what happens before a layer's data moves, and after."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..primitives.widths import narrow
from ..stream.job_layouts import job_layout
from .rows import class_bits, limit_bits

#: Cycles from the acceptance of PREPARE to its `done`, without zeroing, loading, pruning and building the dense list.
PREPARE_CYCLES = 9
#: Cycles from the acceptance of FINISH (accumulators idle) to its `done`, without stores and merging.
FINISH_CYCLES = 2
#: Cycles that merging a prompt's sums takes beyond one per survivor and `serial_totals.ROW_CYCLES` per S of them.
MERGE_CYCLES = 5


@dataclass
class _Facts:
    """Registers about the job and the totals. `zeroed`, `needed`: rows of the score memory that have been written, and
    that the job uses; `heads_known`: the head totals include the sums of all outputs; `dense_known`: the dense list
    is that of the survivors."""

    error: Signal
    keep_tokens: Signal
    keep_heads: Signal
    zeroed: Signal
    needed: Signal
    heads_known: Signal
    dense_known: Signal


class CascadeControl(wiring.Component):
    """One `op` at a time, one `done` for each; drives the blocks of the pruner and touches no data.

    PREPARE: clear, load scores, restart / load ids / continue, check, prune tokens, prune heads, build the dense list.
    FINISH: wait for the token accumulators, merge the sums of a prompt's layer, store ids, store scores. Head sums of
    earlier layers may still be in flight, so a step that clears, sets, compares or stores head totals first waits until
    all have `drained`. Outputs that start something are pulses; `loading_ids`, `merging`, `storing` are levels. An
    error in PREPARE (or FINISH with nothing alive) removes all survivors, so that no later job continues the cascade
    by mistake.

    Totals need no initialisation: rows of the totals from `zeroed` on have not been written since the last clear (or
    reset) and are zeroed for the first job that has tokens there, a row per cycle, beside everything that needs no
    totals (`zeroing`: no probabilities may come).

    | operation | states, in order; those in brackets only if the job asks for it | method |
    |---|---|---|
    | PREPARE | CLEAR, ZERO, (LOAD_SCORES) | `_start_scores` |
    | | LIST, (LOAD_IDS), SETTLE, CHECK | `_start_list` |
    | | PRUNE_TOKENS, (TOKENS), PRUNE_HEADS, (HEADS), DENSE, (BUILD) | `_prune` |
    | FINISH | DRAIN, (MERGING) | `_merge` |
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
            "alive_tokens": In(c.count_bits), "alive_heads": In(heads), "tokens_fit": In(1), "heads_fit": In(1),
            "identity": In(1), "used": In(limit_bits(c)),
            "load_done": In(1), "load_error": In(1), "store_done": In(1), "tokens_done": In(1), "heads_done": In(1),
            "dense_done": In(1), "serial_busy": In(1),
            "sums_idle": In(1), "totals_idle": In(1), "heads_idle": In(1), "drained": In(1),
            # Orders to them.
            "restart": Out(1), "forget": Out(1), "clear_totals": Out(1), "clear_sums": Out(1), "commit": Out(1),
            "zero": Out(1), "zeroing": Out(1), "zero_row": Out(c.row_bits), "rows": Out(limit_bits(c)),
            "load_start": Out(1), "loading_ids": Out(1), "store_start": Out(1), "store_ids": Out(1),
            "store_scores": Out(1), "storing": Out(1), "merge_start": Out(1), "merging": Out(1), "build": Out(1),
            "tokens_start": Out(1), "keep_tokens": Out(c.count_bits), "heads_start": Out(1), "keep_heads": Out(heads),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        f = self._facts(m)
        m.d.comb += [
            self.done.p.error.eq(f.error), self.zero_row.eq(narrow(f.zeroed, self.config.row_bits)),
            self.keep_tokens.eq(f.keep_tokens), self.keep_heads.eq(f.keep_heads), self.rows.eq(f.needed),
            self.busy.eq(1),
        ]
        # Zeroing goes on beside all that needs no totals: the first probabilities come long after PREPARE.
        with m.If(self.zeroing):
            m.d.comb += self.zero.eq(1)
            m.d.sync += [f.zeroed.eq(f.zeroed + 1), self.zeroing.eq(f.zeroed + 1 != f.needed)]
        with m.FSM(name="cascade"):
            with m.State("IDLE"):
                m.d.comb += [self.op.ready.eq(1), self.busy.eq(0)]
                m.d.sync += f.error.eq(0)
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
        f = _Facts(Signal(name="error"), Signal(c.count_bits, name="keep_tokens"), Signal(heads, name="keep_heads"),
                   Signal(limit_bits(c), name="zeroed"), Signal(limit_bits(c), name="needed"),
                   Signal(name="heads_known"), Signal(name="dense_known"))
        m.d.sync += [
            f.keep_tokens.eq(Mux(job.keep_tokens == 0, 1, job.keep_tokens)),
            f.keep_heads.eq(Mux(job.keep_heads == 0, 1, job.keep_heads)),
            f.needed.eq(narrow((job.tokens + (c.slices - 1)) >> class_bits(c), len(f.needed))),
            # By the time of an operation, no more outputs of the layers before can come.
            f.heads_known.eq(self.drained & self.heads_idle),
        ]
        return f

    def _start_scores(self, m: Module, f: _Facts) -> None:
        """PREPARE: a load replaces all totals, also those past the loaded tokens and heads."""
        job = self.job
        with m.State("CLEAR"):
            with m.If(~(job.clear_scores | job.load_scores)):
                m.next = "ZERO"
            with m.Elif(f.heads_known):
                m.d.comb += self.clear_totals.eq(1)
                m.d.sync += f.zeroed.eq(0)
                m.next = "ZERO"
        with m.State("ZERO"):
            with m.If((f.zeroed < f.needed) & ~self.zeroing):
                m.d.sync += self.zeroing.eq(1)
            with m.If(~job.load_scores):
                m.next = "LIST"
            with m.Elif((f.zeroed >= f.needed) & ~self.zeroing):
                m.d.comb += self.load_start.eq(1)
                m.next = "LOAD_SCORES"
        with m.State("LOAD_SCORES"):
            with m.If(self.load_done):
                m.next = "LIST"
                with m.If(self.load_error):
                    m.next = "FAIL"

    def _start_list(self, m: Module, f: _Facts) -> None:
        """PREPARE: restarts, loads or keeps the survivors, as the job says, and checks that they fit the job."""
        job = self.job
        with m.State("LIST"):
            m.next = "SETTLE"
            with m.If(job.restart):
                m.d.comb += self.restart.eq(1)
                m.d.sync += f.dense_known.eq(0)
            with m.Elif(job.load_ids):
                m.d.comb += [self.load_start.eq(1), self.loading_ids.eq(1)]
                m.d.sync += f.dense_known.eq(0)
                m.next = "LOAD_IDS"
        with m.State("LOAD_IDS"):
            m.d.comb += self.loading_ids.eq(1)
            with m.If(self.load_done):
                m.d.comb += self.commit.eq(~self.load_error)
                m.next = "SETTLE"
                with m.If(self.load_error):
                    m.next = "FAIL"
        with m.State("SETTLE"):
            m.next = "CHECK"
        with m.State("CHECK"):
            m.next = "PRUNE_TOKENS"
            with m.If((self.alive_tokens == 0) | (self.alive_heads == 0) | ~self.tokens_fit | ~self.heads_fit):
                m.next = "FAIL"

    def _prune(self, m: Module, f: _Facts) -> None:
        """PREPARE: tokens, then heads, if fewer are to be kept than are alive; then the dense list, if prompts need
        it."""
        with m.State("PRUNE_TOKENS"):
            m.next = "PRUNE_HEADS"
            with m.If(f.keep_tokens < self.alive_tokens):
                m.next = "PRUNE_TOKENS"
                with m.If(~self.zeroing):
                    m.d.comb += self.tokens_start.eq(1)
                    m.d.sync += f.dense_known.eq(0)
                    m.next = "TOKENS"
        with m.State("TOKENS"):
            with m.If(self.tokens_done):
                m.next = "PRUNE_HEADS"
        with m.State("PRUNE_HEADS"):
            with m.If(f.keep_heads >= self.alive_heads):
                m.next = "DENSE"
            with m.Elif(f.heads_known):
                m.d.comb += self.heads_start.eq(1)
                m.next = "HEADS"
        with m.State("HEADS"):
            with m.If(self.heads_done):
                m.next = "DENSE"
        with m.State("DENSE"):
            m.next = "DONE"
            with m.If(~self.job.generate & ~self.identity & ~f.dense_known):
                m.d.comb += self.build.eq(1)
                m.d.sync += f.dense_known.eq(1)
                m.next = "BUILD"
        with m.State("BUILD"):
            with m.If(self.dense_done):
                m.next = "DONE"

    def _merge(self, m: Module, f: _Facts) -> None:
        """FINISH: merges the sums of a prompt's layer into the totals, where generation adds right away."""
        job = self.job
        after = Signal()
        m.d.comb += after.eq(job.store_ids | job.store_scores)
        with m.State("DRAIN"):
            with m.If(self.sums_idle & ~self.zeroing):
                with m.If(self.alive_tokens == 0):
                    m.next = "FAIL"
                with m.Elif(self.used != 0):
                    m.d.comb += [self.merge_start.eq(1), self.merging.eq(1)]
                    m.next = "MERGING"
                with m.Elif(after):
                    m.next = "HEAD_SUMS"
                with m.Else():
                    m.next = "DONE"
        with m.State("MERGING"):
            m.d.comb += self.merging.eq(1)
            with m.If(~self.serial_busy & self.totals_idle):
                m.d.comb += self.clear_sums.eq(1)
                m.next = "DONE"
                with m.If(after):
                    m.next = "HEAD_SUMS"

    def _store(self, m: Module, f: _Facts) -> None:
        """FINISH: stores the survivors, then the importance."""
        job = self.job
        with m.State("HEAD_SUMS"), m.If(f.heads_known):
            m.next = "STORE_IDS"
        with m.State("STORE_IDS"):
            m.next = "STORE_SCORES"
            with m.If(job.store_ids):
                m.d.comb += [self.store_start.eq(1), self.store_ids.eq(1)]
                m.next = "STORING_IDS"
        with m.State("STORING_IDS"):
            m.d.comb += self.storing.eq(1)
            with m.If(self.store_done):
                m.next = "STORE_SCORES"
        with m.State("STORE_SCORES"):
            m.next = "DONE"
            with m.If(job.store_scores):
                m.d.comb += [self.store_start.eq(1), self.store_scores.eq(1)]
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

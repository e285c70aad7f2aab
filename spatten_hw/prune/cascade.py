"""Order of work of the pruner: what happens before a layer's data moves, and after."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..primitives.widths import narrow
from ..stream.job_layouts import job_layout
from .finish import merge, store
from .prepare import prune, start_list, start_scores
from .rows import class_bits, limit_bits

#: Cycles from the acceptance of PREPARE to its `done`, without zeroing, loading, pruning and building the dense list.
PREPARE_CYCLES = 9
#: Cycles from the acceptance of FINISH (accumulators idle) to its `done`, without stores and merging.
FINISH_CYCLES = 2
#: Cycles that merging a prompt's sums takes beyond one per survivor and `serial_totals.ROW_CYCLES` per S of them.
MERGE_CYCLES = 5


@dataclass
class Facts:
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

    | operation | states, in order; those in brackets only if the job asks for it | where |
    |---|---|---|
    | PREPARE | CLEAR, ZERO, (LOAD_SCORES) | `prepare.start_scores` |
    | | LIST, (LOAD_IDS), SETTLE, CHECK | `prepare.start_list` |
    | | PRUNE_TOKENS, (TOKENS), PRUNE_HEADS, (HEADS), DENSE, (BUILD) | `prepare.prune` |
    | | with `chunk_queries` before DENSE: QUERIES, (LOOK, LOOKED) | `prepare.prune` |
    | FINISH | DRAIN, (MERGING) | `finish.merge` |
    | | (HEAD_SUMS, STORE_IDS, STORING_IDS, STORE_SCORES, STORING_SCORES) | `finish.store` |
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
            **({"queries_start": Out(1), "queries_done": In(1), "queries_good": In(1)} if c.chunk_queries else {}),
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
            start_scores(m, self, f)
            start_list(m, self, f)
            prune(m, self, f)
            merge(m, self, f)
            store(m, self, f)
            self._end(m, f)
        return m

    def _facts(self, m: Module) -> Facts:
        """Registered to keep paths short; the job is constant long before they are used."""
        c, job = self.config, self.job
        heads = c.max_heads.bit_length()
        f = Facts(Signal(name="error"), Signal(c.count_bits, name="keep_tokens"), Signal(heads, name="keep_heads"),
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

    def _end(self, m: Module, f: Facts) -> None:
        """After an error nothing is alive; `done` waits until it is taken."""
        with m.State("FAIL"):
            m.d.comb += [self.forget.eq(1), self.clear_sums.eq(1)]
            m.d.sync += f.error.eq(1)
            m.next = "DONE"
        with m.State("DONE"):
            m.d.comb += self.done.valid.eq(1)
            with m.If(self.done.ready):
                m.next = "IDLE"

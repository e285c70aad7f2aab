"""States of the cascade before a layer's data move: totals, survivors, pruning, the dense list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import Module

if TYPE_CHECKING:
    from .cascade import CascadeControl, Facts


def start_scores(m: Module, control: CascadeControl, f: Facts) -> None:
    """PREPARE: a load replaces all totals, also those past the loaded tokens and heads."""
    job = control.job
    with m.State("CLEAR"):
        with m.If(~(job.clear_scores | job.load_scores)):
            m.next = "ZERO"
        with m.Elif(f.heads_known):
            m.d.comb += control.clear_totals.eq(1)
            m.d.sync += f.zeroed.eq(0)
            m.next = "ZERO"
    with m.State("ZERO"):
        with m.If((f.zeroed < f.needed) & ~control.zeroing):
            m.d.sync += control.zeroing.eq(1)
        with m.If(~job.load_scores):
            m.next = "LIST"
        with m.Elif((f.zeroed >= f.needed) & ~control.zeroing):
            m.d.comb += control.load_start.eq(1)
            m.next = "LOAD_SCORES"
    with m.State("LOAD_SCORES"):
        with m.If(control.load_done):
            m.next = "LIST"
            with m.If(control.load_error):
                m.next = "FAIL"


def start_list(m: Module, control: CascadeControl, f: Facts) -> None:
    """PREPARE: restarts, loads or keeps the survivors, as the job says, and checks that they fit the job."""
    job = control.job
    with m.State("LIST"):
        m.next = "SETTLE"
        with m.If(job.restart):
            m.d.comb += control.restart.eq(1)
            m.d.sync += f.dense_known.eq(0)
        with m.Elif(job.load_ids):
            m.d.comb += [control.load_start.eq(1), control.loading_ids.eq(1)]
            m.d.sync += f.dense_known.eq(0)
            m.next = "LOAD_IDS"
    with m.State("LOAD_IDS"):
        m.d.comb += control.loading_ids.eq(1)
        with m.If(control.load_done):
            m.d.comb += control.commit.eq(~control.load_error)
            m.next = "SETTLE"
            with m.If(control.load_error):
                m.next = "FAIL"
    with m.State("SETTLE"):
        m.next = "CHECK"
    with m.State("CHECK"):
        m.next = "PRUNE_TOKENS"
        with m.If((control.alive_tokens == 0) | (control.alive_heads == 0) | ~control.tokens_fit | ~control.heads_fit):
            m.next = "FAIL"


def prune(m: Module, control: CascadeControl, f: Facts) -> None:
    """PREPARE: tokens, then heads, if fewer are to be kept than are alive; then the dense list, if prompts need
    it."""
    with m.State("PRUNE_TOKENS"):
        m.next = "PRUNE_HEADS"
        with m.If(f.keep_tokens < control.alive_tokens):
            m.next = "PRUNE_TOKENS"
            with m.If(~control.zeroing):
                m.d.comb += control.tokens_start.eq(1)
                m.d.sync += f.dense_known.eq(0)
                m.next = "TOKENS"
    with m.State("TOKENS"):
        with m.If(control.tokens_done):
            m.next = "PRUNE_HEADS"
    then = "QUERIES" if control.config.chunk_queries else "DENSE"
    with m.State("PRUNE_HEADS"):
        with m.If(f.keep_heads >= control.alive_heads):
            m.next = then
        with m.Elif(f.heads_known):
            m.d.comb += control.heads_start.eq(1)
            m.next = "HEADS"
    with m.State("HEADS"):
        with m.If(control.heads_done):
            m.next = then
    if control.config.chunk_queries:
        _look_at_queries(m, control)
    with m.State("DENSE"):
        m.next = "DONE"
        with m.If(~control.job.generate & ~control.identity & ~f.dense_known):
            m.d.comb += control.build.eq(1)
            m.d.sync += f.dense_known.eq(1)
            m.next = "BUILD"
    with m.State("BUILD"):
        with m.If(control.dense_done):
            m.next = "DONE"


def _look_at_queries(m: Module, control: CascadeControl) -> None:
    """The tokens that are the queries of a generation job must survive. All do if every token survives."""
    with m.State("QUERIES"):
        m.next = "DENSE"
        with m.If((control.job.queries != 0) & (control.alive_tokens != control.job.tokens)):
            m.d.comb += control.queries_start.eq(1)
            m.next = "LOOK"
    with m.State("LOOK"):
        with m.If(control.queries_done):
            m.next = "LOOKED"
    with m.State("LOOKED"):
        m.next = "DENSE"
        with m.If(~control.queries_good):
            m.next = "FAIL"

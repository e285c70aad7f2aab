"""States of the cascade after a layer's data have moved: sums are merged, state is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import Module, Signal

if TYPE_CHECKING:
    from .cascade import CascadeControl, Facts


def merge(m: Module, control: CascadeControl, f: Facts) -> None:
    """FINISH: merges the sums of a prompt's layer into the totals, where generation adds right away."""
    job = control.job
    after = Signal()
    m.d.comb += after.eq(job.store_ids | job.store_scores)
    with m.State("DRAIN"):
        with m.If(control.sums_idle & ~control.zeroing):
            with m.If(control.alive_tokens == 0):
                m.next = "FAIL"
            with m.Elif(control.used != 0):
                m.d.comb += [control.merge_start.eq(1), control.merging.eq(1)]
                m.next = "MERGING"
            with m.Elif(after):
                m.next = "HEAD_SUMS"
            with m.Else():
                m.next = "DONE"
    with m.State("MERGING"):
        m.d.comb += control.merging.eq(1)
        with m.If(~control.serial_busy & control.totals_idle):
            m.d.comb += control.clear_sums.eq(1)
            m.next = "DONE"
            with m.If(after):
                m.next = "HEAD_SUMS"


def store(m: Module, control: CascadeControl, f: Facts) -> None:
    """FINISH: stores the survivors, then the importance."""
    job = control.job
    with m.State("HEAD_SUMS"), m.If(f.heads_known):
        m.next = "STORE_IDS"
    with m.State("STORE_IDS"):
        m.next = "STORE_SCORES"
        with m.If(job.store_ids):
            m.d.comb += [control.store_start.eq(1), control.store_ids.eq(1)]
            m.next = "STORING_IDS"
    with m.State("STORING_IDS"):
        m.d.comb += control.storing.eq(1)
        with m.If(control.store_done):
            m.next = "STORE_SCORES"
    with m.State("STORE_SCORES"):
        m.next = "DONE"
        with m.If(job.store_scores):
            m.d.comb += [control.store_start.eq(1), control.store_scores.eq(1)]
            m.next = "STORING_SCORES"
    with m.State("STORING_SCORES"):
        m.d.comb += control.storing.eq(1)
        with m.If(control.store_done):
            m.next = "DONE"

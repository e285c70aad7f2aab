"""Runs layer jobs from start to completion: what is issued when."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig
from ..interface.activity import ITEMS, BackState, FrontState
from ..softmax.rows import decision_notice
from ..stream.job_layouts import job_layout
from ..stream.layouts import fill_command, key_walk_command, q_command, score_command, slice_counts, slot_meta
from .csr import completion_layout
from .item_counts import ItemCounts
from .job_reader import job_offer
from .loader import Loader, filled_notice
from .scale_table import SET_BITS
from .stages import FETCH_ERRORS, WRITE_ERRORS, JobStages
from .walker import Walker


class Sequencer(wiring.Component):
    """Runs jobs through two stages (`JobStages`); inside a job everything overlaps (`Walker`, `Loader`).

    `job` and `scales` are for the blocks up to the softmax and for the pruner, `back_job` and `back_scales` for those
    behind it: top-k, V reads, Prob×V, requantiser. Probabilities may pass from one to the other while `open`. `retire`,
    `same`, `front_clear`, `back_clear`, errors, `front_state`, `back_state`, `front_tag`, `back_tag`: see `JobStages`.
    """

    #: Jobs to run: `job_offer`.
    jobs: stream.Interface
    #: Jobs that have ended: tag and error, in order.
    completion: stream.Interface
    #: Job of the blocks up to the softmax, and of the pruner.
    job: data.View
    #: Its set in the scale table.
    scales: Signal
    #: Job of the blocks behind the softmax.
    back_job: data.View
    #: Its set in the scale table.
    back_scales: Signal
    #: Probabilities may pass from front to back.
    open: Signal
    #: Both stages have one job, or the back has none.
    same: Signal
    #: Pulse: a job that its reader did not refuse has ended.
    retire: Signal
    #: A job runs.
    busy: Signal
    #: Operations of the pruner.
    op: stream.Interface
    #: Their ends.
    op_done: stream.Interface
    #: Survivors, from the pruner.
    alive_tokens: Signal
    #: Survivors of every class, from the pruner.
    counts: data.View
    #: Heads that survive, a bit each.
    heads_alive: Signal
    #: Row of the dense list.
    list_row: Signal
    #: Its ids, one cycle later.
    list_ids: data.View
    #: Walks over K rows: `key_walk_command`.
    k_walk: stream.Interface
    #: Pulse: all rows of a walk have been asked for.
    walked: Signal
    #: Fills of the K and V SRAMs: `fill_command`.
    fill: stream.Interface
    #: Their ends: `filled_notice`; always taken.
    filled: stream.Interface
    #: Q rows to read: `q_command`.
    q_cmd: stream.Interface
    #: Queries of a prompt to score: `score_command`.
    score_cmd: stream.Interface
    #: What is in a slot, to the softmax: `slot_meta`.
    meta: stream.Interface
    #: Which progressive vectors are flat: `decision_notice`.
    decided: stream.Interface
    #: Slots that are free again; always taken.
    free: stream.Interface
    #: Pulse: `slot` was given to a new query.
    slot_taken: Signal
    #: That slot.
    slot: Signal
    #: Bit per half: its V SRAM is full.
    values_ready: Signal
    #: Items that need the survivors no longer, in this cycle: probabilities taken, V rows asked for by index.
    listed: Signal
    #: Pulse: a gang leaves Prob×V.
    value_done: Signal
    #: The half of the V SRAM that it used.
    value_done_half: Signal
    #: The number of its first item.
    value_done_first: Signal
    #: How many items it has.
    value_done_gang: Signal
    #: Pulse: an item leaves the requantiser.
    item_done: Signal
    #: No item is between softmax and requantiser's end.
    drained: Signal
    #: Nothing is on its way to memory.
    write_idle: Signal
    #: Errors of reads, in the order of `FETCH_ERRORS`.
    fetch_errors: Signal
    #: Errors of writes, in the order of `WRITE_ERRORS`.
    write_errors: Signal
    #: Pulse: errors of the front stage are forgotten.
    front_clear: Signal
    #: Pulse: errors of the back stage are forgotten.
    back_clear: Signal
    #: Pulse: the first work item of a query was issued.
    issued: Signal
    #: Queries whose LSBs are asked for in this cycle.
    replayed: Signal
    #: What the front stage does, `FrontState`.
    front_state: Signal
    #: What the back stage does, `BackState`.
    back_state: Signal
    #: Tag of the job in the front stage.
    front_tag: Signal
    #: Tag of the job in the back stage.
    back_tag: Signal
    #: A bit per entry of `ITEMS`, in that order: there are such work items.
    items: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        slot = data.StructLayout({"slot": c.slot_bits})
        super().__init__({
            "jobs": In(stream.Signature(job_offer(c))),
            "completion": Out(stream.Signature(completion_layout())),
            "job": Out(job_layout(c)), "scales": Out(SET_BITS),
            "back_job": Out(job_layout(c)), "back_scales": Out(SET_BITS),
            "open": Out(1), "same": Out(1), "retire": Out(1), "busy": Out(1),
            "op": Out(stream.Signature(data.StructLayout({"finish": 1}))),
            "op_done": In(stream.Signature(data.StructLayout({"error": 1}))),
            "alive_tokens": In(c.count_bits), "counts": In(slice_counts(c)), "heads_alive": In(c.max_heads),
            "list_row": Out(c.row_bits), "list_ids": In(data.ArrayLayout(c.token_bits, c.slices)),
            "k_walk": Out(stream.Signature(key_walk_command(c))), "walked": In(1),
            "fill": Out(stream.Signature(fill_command(c))), "filled": In(stream.Signature(filled_notice())),
            "q_cmd": Out(stream.Signature(q_command(c))), "score_cmd": Out(stream.Signature(score_command(c))),
            "meta": Out(stream.Signature(slot_meta(c))), "decided": In(stream.Signature(decision_notice(c))),
            "free": In(stream.Signature(slot)), "slot_taken": Out(1), "slot": Out(c.slot_bits),
            "values_ready": Out(2),
            "listed": In(c.max_group.bit_length()), "value_done": In(1), "value_done_half": In(1),
            "value_done_first": In(c.item_bits),
            "value_done_gang": In(c.max_group.bit_length()), "item_done": In(1), "drained": Out(1),
            "write_idle": In(1),
            "fetch_errors": In(len(FETCH_ERRORS)), "write_errors": In(len(WRITE_ERRORS)),
            "front_clear": Out(1), "back_clear": Out(1),
            "issued": Out(1), "replayed": Out(c.max_group.bit_length()),
            "front_state": Out(FrontState), "back_state": Out(BackState), "front_tag": Out(16), "back_tag": Out(16),
            "items": Out(len(ITEMS)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.stages = stages = JobStages(c)
        m.submodules.walker = walker = Walker(c)
        m.submodules.loader = loader = Loader(c)

        for name in ("jobs", "op_done"):
            connect(m, flipped(getattr(self, name)), getattr(stages, name))
        for name in ("completion", "op"):
            connect(m, getattr(stages, name), flipped(getattr(self, name)))
        for name in ("q_cmd", "score_cmd", "k_walk", "meta"):
            connect(m, getattr(walker, name), flipped(getattr(self, name)))
        for name in ("decided", "free"):
            connect(m, flipped(getattr(self, name)), getattr(walker, name))
        connect(m, loader.fill, flipped(self.fill))
        connect(m, flipped(self.filled), loader.filled)
        m.d.comb += [
            getattr(self, name).eq(getattr(stages, name))
            for name in ("job", "scales", "back_job", "back_scales", "open", "same", "front_clear", "back_clear",
                         "retire", "busy", "front_state", "back_state", "front_tag", "back_tag")]
        m.d.comb += [
            stages.issued_all.eq(walker.issued_all), stages.write_idle.eq(self.write_idle),
            stages.fetch_errors.eq(self.fetch_errors), stages.write_errors.eq(self.write_errors),
            walker.job.eq(stages.job), walker.start.eq(stages.start), walker.heads.eq(self.heads_alive),
            walker.alive.eq(self.alive_tokens), walker.counts.eq(self.counts), walker.half_ready.eq(loader.ready),
            walker.lsb_ready.eq(loader.lsb_ready), walker.walked.eq(self.walked),
            walker.items_freed.eq(self.value_done), walker.items_first.eq(self.value_done_first),
            walker.items_gang.eq(self.value_done_gang),
            self.slot_taken.eq(walker.slot_taken), self.slot.eq(walker.slot),
            self.list_row.eq(walker.list_row), walker.list_ids.eq(self.list_ids),
            loader.start.eq(stages.start & ~stages.job.generate), loader.heads.eq(self.heads_alive),
            loader.rows.eq(self.alive_tokens),
            loader.dense.eq(self.alive_tokens == stages.job.tokens), loader.done.eq(walker.half_done),
            loader.lsb_wanted.eq(walker.lsb_wanted), loader.lsb_half.eq(walker.lsb_half),
            loader.v_lsb.eq(stages.job.v_lsb != 0), self.values_ready.eq(loader.values),
            self.issued.eq(walker.query), self.replayed.eq(walker.replayed),
        ]
        m.submodules.item_counts = counts = ItemCounts(c)
        m.d.comb += [
            getattr(counts, name).eq(getattr(walker, name))
            for name in ("item", "item_half", "dropped", "dropped_half", "half_done")]
        m.d.comb += [
            getattr(counts, name).eq(getattr(self, name))
            for name in ("listed", "value_done", "value_done_half", "value_done_gang", "item_done")]
        m.d.comb += [
            loader.retire.eq(counts.retire), stages.scored.eq(counts.scored), stages.drained.eq(counts.drained),
            self.drained.eq(counts.drained), self.items.eq(Cat(~walker.issued_all, ~counts.scored, ~counts.drained)),
        ]
        return m

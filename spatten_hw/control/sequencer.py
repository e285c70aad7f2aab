"""Runs layer jobs from start to completion: what is issued when."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..interface.activity import ITEMS, BackState, FrontState
from ..stream.job_layouts import job_layout
from ..stream.layouts import k_command, q_command, qk_command, slot_meta, v_command
from .csr import completion_layout
from .job_reader import job_offer
from .loader import Loader
from .scale_table import SET_BITS
from .stages import FETCH_ERRORS, WRITE_ERRORS, JobStages
from .walker import Walker


class Sequencer(wiring.Component):
    """Runs jobs through two stages (`JobStages`); inside a job everything overlaps (`Walker`, `Loader`).

    `job` and `scales` are for the blocks up to the softmax and for the pruner, `back_job` and `back_scales` for those
    behind it: top-k, V fetch, Prob×V, requantiser. Probabilities may pass from one to the other while `open`.
    `listed` marks an item whose last probabilities have been taken, with the list ids that belong to them.
    `value_done` (with its half) marks an item leaving Prob×V, which no longer needs its V SRAM half; `item_done` marks
    an item leaving the requantiser; `drained`: no item is between softmax and the requantiser's output. `retire`,
    `same`, `front_clear`, `back_clear`, errors, `front_state`, `back_state`, `front_tag`, `back_tag`: see `JobStages`.
    `items`: a bit per entry of `ITEMS`, in that order: there are such work items.
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
    #: Heads that survive, a bit each.
    heads_alive: Signal
    #: Row of the survivor list.
    list_row: Signal
    #: Its ids, one cycle later.
    list_ids: data.View
    #: K rows to the fetcher: `k_command`.
    k_cmd: stream.Interface
    #: V fills to the fetcher: `v_command`.
    v_cmd: stream.Interface
    #: Q rows to the fetcher: `q_command`.
    q_cmd: stream.Interface
    #: Scores to Q×K: `qk_command`.
    qk_cmd: stream.Interface
    #: What is in a slot, to the softmax: `slot_meta`.
    meta: stream.Interface
    #: Slots to be scored again, with LSBs.
    flat: stream.Interface
    #: Slots that are free again; always taken.
    free: stream.Interface
    #: Pulse: a half of the K SRAM is full.
    k_filled: Signal
    #: Which half.
    k_filled_half: Signal
    #: Pulse: a half of the V SRAM is full.
    v_filled: Signal
    #: Which half.
    v_filled_half: Signal
    #: Pulse: an item's last probabilities have been taken, with their ids.
    listed: Signal
    #: Pulse: an item leaves Prob×V.
    value_done: Signal
    #: The half of the V SRAM that it used.
    value_done_half: Signal
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
    #: Pulse: a work item was issued.
    issued: Signal
    #: Pulse: a replay was issued.
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
            "alive_tokens": In(c.count_bits), "heads_alive": In(c.max_heads),
            "list_row": Out(max(1, clog2(c.max_rows))),
            "list_ids": In(data.ArrayLayout(c.token_bits, c.lanes)),
            "k_cmd": Out(stream.Signature(k_command(c))), "v_cmd": Out(stream.Signature(v_command(c))),
            "q_cmd": Out(stream.Signature(q_command(c))), "qk_cmd": Out(stream.Signature(qk_command(c))),
            "meta": Out(stream.Signature(slot_meta(c))),
            "flat": In(stream.Signature(slot)), "free": In(stream.Signature(slot)),
            "k_filled": In(1), "k_filled_half": In(1), "v_filled": In(1), "v_filled_half": In(1),
            "listed": In(1), "value_done": In(1), "value_done_half": In(1), "item_done": In(1), "drained": Out(1),
            "write_idle": In(1),
            "fetch_errors": In(len(FETCH_ERRORS)), "write_errors": In(len(WRITE_ERRORS)),
            "front_clear": Out(1), "back_clear": Out(1),
            "issued": Out(1), "replayed": Out(1),
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
        for name in ("q_cmd", "qk_cmd", "meta"):
            connect(m, getattr(walker, name), flipped(getattr(self, name)))
        for name in ("flat", "free"):
            connect(m, flipped(getattr(self, name)), getattr(walker, name))
        connect(m, loader.v_cmd, flipped(self.v_cmd))
        self._merge_k_commands(m, walker, loader)
        m.d.comb += [
            getattr(self, name).eq(getattr(stages, name))
            for name in ("job", "scales", "back_job", "back_scales", "open", "same", "front_clear", "back_clear",
                         "retire", "busy", "front_state", "back_state", "front_tag", "back_tag")]
        m.d.comb += [
            stages.issued_all.eq(walker.issued_all), stages.write_idle.eq(self.write_idle),
            stages.fetch_errors.eq(self.fetch_errors), stages.write_errors.eq(self.write_errors),
            walker.job.eq(stages.job), walker.start.eq(stages.start), walker.heads.eq(self.heads_alive),
            walker.alive.eq(self.alive_tokens), walker.half_ready.eq(loader.ready),
            self.list_row.eq(walker.list_row), walker.list_ids.eq(self.list_ids),
            loader.start.eq(stages.start & ~stages.job.generate), loader.heads.eq(self.heads_alive),
            loader.rows.eq(self.alive_tokens), loader.done.eq(walker.half_done),
            loader.k_filled.eq(self.k_filled), loader.k_filled_half.eq(self.k_filled_half),
            loader.v_filled.eq(self.v_filled), loader.v_filled_half.eq(self.v_filled_half),
            self.issued.eq(walker.item), self.replayed.eq(walker.replayed),
        ]
        self._track_items(m, walker, loader, stages)
        return m

    def _merge_k_commands(self, m: Module, walker: Walker, loader: Loader) -> None:
        """Walker's commands (streams, replays) have priority over the loader's fills; an offered fill stays offered."""
        held = Signal()  # a fill is offered and not yet taken
        use_fill = Signal()
        m.d.comb += use_fill.eq(held | ~walker.k_cmd.valid)
        m.d.sync += held.eq(use_fill & loader.k_cmd.valid & ~self.k_cmd.ready)
        with m.If(use_fill):
            connect_payload(m, loader.k_cmd, self.k_cmd)
        with m.Else():
            connect_payload(m, walker.k_cmd, self.k_cmd)

    def _track_items(self, m: Module, walker: Walker, loader: Loader, stages: JobStages) -> None:
        """Counts items: per half from their issue to the end of Prob×V, and in each stage."""
        c = self.config
        # An item has a slot only until its decision; behind that, only the pipeline's storage limits their number.
        width = clog2(c.max_tokens * c.max_heads) + 1
        for h in range(2):
            in_half = Signal(width, name=f"in_half_{h}")
            draining = Signal(name=f"draining_{h}")
            enters = walker.item & (walker.item_half == h)
            leaves = self.value_done & (self.value_done_half == h)
            m.d.sync += in_half.eq((in_half + enters - leaves)[:width])
            contract(m, (in_half != 0) | enters, f"only items of half {h} leave it", when=leaves)
            contract(m, ~in_half.all() | leaves, f"items of half {h} are counted", when=enters)
            with m.If(walker.half_done[h]):
                m.d.sync += draining.eq(1)
            with m.Elif(draining & (in_half == 0)):
                m.d.comb += loader.retire[h].eq(1)
                m.d.sync += draining.eq(0)
        in_front = Signal(width)
        in_back = Signal(width)
        m.d.sync += [
            in_front.eq((in_front + walker.item - self.listed)[:width]),
            in_back.eq((in_back + self.listed - self.item_done)[:width]),
        ]
        contract(m, (in_front != 0) | walker.item, "only items that were issued are scored", when=self.listed)
        contract(m, (in_back != 0) | self.listed, "only items that were scored are done", when=self.item_done)
        m.d.comb += [stages.scored.eq(in_front == 0), self.drained.eq(in_back == 0), stages.drained.eq(self.drained),
                     self.items.eq(Cat(~walker.issued_all, ~stages.scored, ~self.drained))]


def connect_payload(m: Module, source: stream.Interface, sink: stream.Interface) -> None:
    """`source` drives `sink` under the enclosing condition."""
    m.d.comb += [sink.valid.eq(source.valid), sink.payload.eq(source.payload), source.ready.eq(sink.ready)]

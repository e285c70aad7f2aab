"""One layer job from start to completion: prepare, move the data, finish, report."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import SpAttenConfig, clog2
from ..stream.layouts import k_command, q_command, qk_command, slot_meta, v_command
from .csr import completion_layout
from .descriptor import job_layout
from .errors import ErrorCode
from .job_reader import job_offer
from .loader import Loader
from .walker import Walker

#: Order of the sticky error bits of the fetcher, and of the writer, with what a job then ends with.
FETCH_ERRORS = (ErrorCode.READ_Q, ErrorCode.READ_K, ErrorCode.READ_V, ErrorCode.READ_DESCRIPTOR,
                ErrorCode.READ_STATE)
WRITE_ERRORS = (ErrorCode.WRITE_OUTPUT, ErrorCode.WRITE_STATE)


class Sequencer(wiring.Component):
    """Runs jobs one after the other; inside a job everything overlaps (`Walker`, `Loader`).

    PREPARE (pruner) → RUN (until every item's probabilities are out) → FINISH (pruner: merge scores, which goes
    on beside P×V; when every item has left the requantiser, `drained`: store state) → all writes answered → completion.
    `prob_done` marks an item whose last probabilities have been taken. `job` and `scales` hold
    still from PREPARE to completion; `retire` pulses when they may change. `value_done` (with its half) marks
    an item leaving P×V, which is when its V SRAM half is no longer needed; `item_done` one leaving the
    requantiser. `fetch_errors` and `write_errors` are sticky until `clear`, which pulses at the job's start.
    """

    jobs: stream.Interface
    completion: stream.Interface
    op: stream.Interface
    op_done: stream.Interface
    k_cmd: stream.Interface
    v_cmd: stream.Interface
    q_cmd: stream.Interface
    qk_cmd: stream.Interface
    meta: stream.Interface
    flat: stream.Interface
    free: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        slot = data.StructLayout({"slot": c.slot_bits})
        super().__init__({
            "jobs": In(stream.Signature(job_offer(c))),
            "completion": Out(stream.Signature(completion_layout())),
            "job": Out(job_layout(c)), "scales": Out(1), "retire": Out(1), "busy": Out(1),
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
            "prob_done": In(1), "value_done": In(1), "value_done_half": In(1), "item_done": In(1), "drained": Out(1),
            "write_idle": In(1),
            "fetch_errors": In(len(FETCH_ERRORS)), "write_errors": In(len(WRITE_ERRORS)), "clear": Out(1),
            "issued": Out(1), "replayed": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.walker = walker = Walker(c)
        m.submodules.loader = loader = Loader(c)
        start = Signal()
        tag = Signal(16)
        error = Signal(8)

        for name in ("q_cmd", "qk_cmd", "meta"):
            connect(m, getattr(walker, name), flipped(getattr(self, name)))
        for name in ("flat", "free"):
            connect(m, flipped(getattr(self, name)), getattr(walker, name))
        connect(m, loader.v_cmd, flipped(self.v_cmd))
        self._merge_k_commands(m, walker, loader)
        m.d.comb += [
            walker.job.eq(self.job), walker.start.eq(start), walker.heads.eq(self.heads_alive),
            walker.alive.eq(self.alive_tokens), walker.half_ready.eq(loader.ready),
            self.list_row.eq(walker.list_row), walker.list_ids.eq(self.list_ids),
            loader.start.eq(start & ~self.job.generate), loader.heads.eq(self.heads_alive),
            loader.rows.eq(self.alive_tokens), loader.done.eq(walker.half_done),
            loader.k_filled.eq(self.k_filled), loader.k_filled_half.eq(self.k_filled_half),
            loader.v_filled.eq(self.v_filled), loader.v_filled_half.eq(self.v_filled_half),
            self.issued.eq(walker.item), self.replayed.eq(walker.replayed),
        ]
        scored = self._track_items(m, walker, loader)

        with m.FSM(name="job_state"):
            with m.State("IDLE"):
                m.d.comb += self.jobs.ready.eq(1)
                with m.If(self.jobs.valid):
                    p = self.jobs.payload
                    m.d.comb += self.clear.eq(1)
                    m.d.sync += [self.job.eq(p.job), self.scales.eq(p.scales), tag.eq(p.tag), error.eq(p.error)]
                    with m.If(p.error != 0):
                        m.next = "COMPLETE"
                    with m.Else():
                        m.next = "PREPARE"
            with m.State("PREPARE"):
                m.d.comb += self.op.valid.eq(1)
                with m.If(self.op.ready):
                    m.next = "PREPARING"
            with m.State("PREPARING"):
                m.d.comb += self.op_done.ready.eq(1)
                with m.If(self.op_done.valid):
                    with m.If(self.op_done.payload.error):
                        m.d.sync += error.eq(ErrorCode.BAD_STATE)
                        m.next = "REPORT"
                    with m.Else():
                        m.next = "START"
            with m.State("START"):
                m.d.comb += start.eq(1)
                m.next = "RUN"
            with m.State("RUN"), m.If(walker.issued_all & scored):
                m.d.comb += [self.op.valid.eq(1), self.op.payload.finish.eq(1)]
                with m.If(self.op.ready):
                    m.next = "FINISHING"
            with m.State("FINISHING"):
                m.d.comb += self.op_done.ready.eq(1)
                with m.If(self.op_done.valid):
                    m.next = "FLUSH"
            with m.State("FLUSH"), m.If(self.write_idle):
                m.next = "REPORT"
            with m.State("REPORT"):
                # The cause outranks its consequence: a read error may have made the loaded state bad.
                for bits, codes in ((self.write_errors, WRITE_ERRORS), (self.fetch_errors, FETCH_ERRORS)):
                    for i, code in reversed(list(enumerate(codes))):
                        # Descriptor reads run ahead for the next job, which reports them itself.
                        if code != ErrorCode.READ_DESCRIPTOR:
                            with m.If(bits[i]):
                                m.d.sync += error.eq(code)
                m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += [
                    self.completion.valid.eq(1),
                    self.completion.payload.tag.eq(tag), self.completion.payload.error.eq(error),
                ]
                with m.If(self.completion.ready):
                    m.d.comb += self.retire.eq(1)
                    m.next = "IDLE"
        running = Signal()
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += running.eq(1)
        with m.Elif(self.retire):
            m.d.sync += running.eq(0)
        m.d.comb += self.busy.eq(running)
        return m

    def _merge_k_commands(self, m: Module, walker: Walker, loader: Loader) -> None:
        """Walker's commands (streams, replays) before the loader's fills; a chosen command stays chosen."""
        held = Signal()  # a fill is offered and not yet taken
        use_fill = Signal()
        m.d.comb += use_fill.eq(held | ~walker.k_cmd.valid)
        m.d.sync += held.eq(use_fill & loader.k_cmd.valid & ~self.k_cmd.ready)
        with m.If(use_fill):
            connect_payload(m, loader.k_cmd, self.k_cmd)
        with m.Else():
            connect_payload(m, walker.k_cmd, self.k_cmd)

    def _track_items(self, m: Module, walker: Walker, loader: Loader) -> Signal:
        """Counts items between issue and P×V per half, and between issue and requantiser in all; returns whether all
        issued have given their probabilities."""
        c = self.config
        # An item holds a slot only to its decision; behind it are bounded by what the pipeline stores.
        width = clog2(c.max_tokens * c.max_heads) + 1
        in_flight = Signal(width)
        m.d.sync += in_flight.eq((in_flight + walker.item - self.item_done)[:width])
        for h in range(2):
            in_half = Signal(width, name=f"in_half_{h}")
            draining = Signal(name=f"draining_{h}")
            enters = walker.item & (walker.item_half == h)
            leaves = self.value_done & (self.value_done_half == h)
            m.d.sync += in_half.eq((in_half + enters - leaves)[:width])
            with m.If(walker.half_done[h]):
                m.d.sync += draining.eq(1)
            with m.Elif(draining & (in_half == 0)):
                m.d.comb += loader.retire[h].eq(1)
                m.d.sync += draining.eq(0)
        in_softmax = Signal(width)
        scored = Signal()
        m.d.sync += in_softmax.eq((in_softmax + walker.item - self.prob_done)[:width])
        m.d.comb += [self.drained.eq(in_flight == 0), scored.eq(in_softmax == 0)]
        return scored


def connect_payload(m: Module, source: stream.Interface, sink: stream.Interface) -> None:
    """`source` drives `sink` under the enclosing condition."""
    m.d.comb += [sink.valid.eq(source.valid), sink.payload.eq(source.payload), source.ready.eq(sink.ready)]

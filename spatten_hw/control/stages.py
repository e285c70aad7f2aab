"""Runs two jobs at a time: the next one is scored while the outputs of the one before are made."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..interface.activity import BackState, FrontState
from ..interface.errors import ErrorCode
from ..primitives.registers import payload_register
from ..stream.job_layouts import job_layout
from .csr import completion_layout
from .job_reader import job_offer
from .scale_table import SET_BITS

#: Order of the sticky error bits of the fetcher, and of the writer, with what a job then ends with.
FETCH_ERRORS = (ErrorCode.READ_Q, ErrorCode.READ_K, ErrorCode.READ_V, ErrorCode.READ_DESCRIPTOR,
                ErrorCode.READ_STATE)
WRITE_ERRORS = (ErrorCode.WRITE_OUTPUT, ErrorCode.WRITE_STATE)
#: The fetcher's bits that the front stage raises. Descriptor reads run ahead for the next job, which reports their
#: errors itself.
FRONT_ERRORS = tuple(n for n, code in enumerate(FETCH_ERRORS)
                     if code not in (ErrorCode.READ_V, ErrorCode.READ_DESCRIPTOR))
_V = FETCH_ERRORS.index(ErrorCode.READ_V)


class JobStages(wiring.Component):
    """`jobs` one after the other through a front and a back stage, one job in each; `completion`s in order.

    Front (`job`, `scales`; survivors, K, Q, scores, softmax): PREPARE (pruner `op`) → `start` → until all items are
    `issued_all` and `scored` (probabilities out, class lists read) → FINISH (pruner: merge scores, store state).
    Back (`back_job`, `back_scales`; top-k, V, Prob×V, outputs): takes the front's job once its own has ended; `open`
    lets probabilities pass; ends when FINISH is done, all items have `drained` and all writes are answered.
    `same`: both have the same job, or the back has none.

    So the way of a job's last vectors to memory is hidden behind the next job's preparation and first scores. A job
    waits for the end of all jobs before it if it has `barrier`, or if it loads state while the back's job stores
    state. A summarisation job waits before `start`, since its V goes to SRAM ahead of its scores.
    `front_clear`, `back_clear` pulse when a stage takes a job (the back's a cycle later): errors of the stage are
    forgotten. `retire` pulses when a job ends that was not refused by its reader. `back_job` is the front's job while
    the back has none. `front_state`, `back_state`: what each stage does; `front_tag`, `back_tag`: the tag of its job.
    """

    jobs: stream.Interface
    completion: stream.Interface
    op: stream.Interface
    op_done: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "jobs": In(stream.Signature(job_offer(c))),
            "completion": Out(stream.Signature(completion_layout())),
            "op": Out(stream.Signature(data.StructLayout({"finish": 1}))),
            "op_done": In(stream.Signature(data.StructLayout({"error": 1}))),
            "job": Out(job_layout(c)), "scales": Out(SET_BITS),
            "back_job": Out(job_layout(c)), "back_scales": Out(SET_BITS),
            "start": Out(1), "issued_all": In(1), "scored": In(1),
            "open": Out(1), "same": Out(1), "drained": In(1), "write_idle": In(1),
            "fetch_errors": In(len(FETCH_ERRORS)), "write_errors": In(len(WRITE_ERRORS)),
            "front_clear": Out(1), "back_clear": Out(1), "retire": Out(1), "busy": Out(1),
            "front_state": Out(FrontState), "back_state": Out(BackState), "front_tag": Out(16), "back_tag": Out(16),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # Between the stages: the front offers its job, once; later it tells that it has finished, and with which error.
        offered = Signal()
        free = Signal()
        taken = Signal()
        finished = Signal()
        tag = self.front_tag
        error = Signal(8)
        refused = Signal()
        m.d.comb += taken.eq(offered & free)
        self._front(m, offered, free, finished, tag, error, refused)
        self._back(m, taken, free, finished, tag, error, refused)
        return m

    def _front(self, m: Module, offered: Signal, free: Signal, finished: Signal, tag: Signal, error: Signal,
               refused: Signal) -> None:
        given = Signal()         # the back has this job
        blocked = Signal()
        job = payload_register(m, self.job, "front_job")
        stores = self.back_job.store_ids | self.back_job.store_scores
        loads = job.load_ids | job.load_scores
        m.d.comb += [
            blocked.eq(~free & (job.barrier | (loads & stores))),
            self.same.eq(given | free),
        ]
        with m.If(offered & free):
            m.d.sync += given.eq(1)
        with m.FSM(name="front"):
            with m.State("IDLE"):
                m.d.comb += [self.jobs.ready.eq(1), self.front_state.eq(FrontState.IDLE)]
                contract(m, self.issued_all & self.scored, "a job is taken when the one before is scored",
                         when=self.jobs.valid)
                p = self.jobs.payload
                with m.If(self.jobs.valid):
                    m.d.comb += self.front_clear.eq(1)
                    m.d.sync += [
                        job.eq(p.job), self.scales.eq(p.scales), tag.eq(p.tag), error.eq(p.error),
                        refused.eq(p.error != ErrorCode.OK), given.eq(0), finished.eq(0),
                    ]
                    m.next = "PREPARE"
                    with m.If(p.error != ErrorCode.OK):
                        m.next = "GIVE_UP"
            with m.State("PREPARE"):
                m.d.comb += [self.op.valid.eq(~blocked),
                             self.front_state.eq(Mux(blocked, FrontState.BLOCKED, FrontState.PREPARING))]
                with m.If(self.op.ready & ~blocked):
                    m.next = "PREPARING"
            with m.State("PREPARING"):
                m.d.comb += [self.op_done.ready.eq(1), self.front_state.eq(FrontState.PREPARING)]
                with m.If(self.op_done.valid):
                    m.next = "START"
                    with m.If(self.op_done.payload.error):
                        m.d.sync += error.eq(ErrorCode.BAD_STATE)
                        m.next = "GIVE_UP"
            with m.State("START"):
                m.d.comb += self.front_state.eq(FrontState.HELD)
                with m.If(job.generate | free):
                    m.d.comb += [self.start.eq(1), offered.eq(1)]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [self.front_state.eq(FrontState.SCORING), offered.eq(~given), self.op.payload.finish.eq(1),
                             self.op.valid.eq(self.issued_all & self.scored & given)]
                with m.If(self.op.valid & self.op.ready):
                    m.next = "FINISHING"
            with m.State("FINISHING"):
                m.d.comb += [self.op_done.ready.eq(1), self.front_state.eq(FrontState.FINISHING)]
                with m.If(self.op_done.valid):
                    m.d.sync += finished.eq(1)
                    m.next = "LEAVE"
            # The job moves no more data: it only waits for its turn to end.
            with m.State("GIVE_UP"):
                m.d.comb += [offered.eq(1), self.front_state.eq(FrontState.REFUSED)]
                with m.If(free):
                    m.d.sync += finished.eq(1)
                    m.next = "LEAVE"
            with m.State("LEAVE"):       # the back looks at `finished`, `tag` and `error`
                m.d.comb += self.front_state.eq(FrontState.FINISHING)
                m.next = "IDLE"

    def _back(self, m: Module, taken: Signal, free: Signal, finished: Signal, tag: Signal, error: Signal,
              refused: Signal) -> None:
        back_job = payload_register(m, self.back_job, "job_behind")
        back_tag = self.back_tag
        back_error = Signal(8)
        back_refused = Signal()
        ending = Signal()        # the front has finished with this job
        causes = Signal(len(FETCH_ERRORS))
        with m.FSM(name="back") as fsm:
            with m.State("IDLE"):
                m.d.comb += [free.eq(1), self.back_state.eq(BackState.IDLE)]
                # Follows the front's job until it is taken: `taken` is not in the wide clock enable.
                m.d.sync += [
                    back_job.eq(self.job), self.back_scales.eq(self.scales), back_tag.eq(tag),
                    back_refused.eq(refused), ending.eq(0), self.back_clear.eq(taken),
                ]
                contract(m, self.drained, "the back stage is free when nothing is left in it")
                with m.If(taken):
                    m.next = "OPEN"
            # Open until the front has finished with this job: later probabilities belong to the next job.
            with m.State("OPEN"):
                m.d.sync += self.back_clear.eq(0)
                m.d.comb += self.back_state.eq(BackState.OUTPUTS)
                with m.If(finished & ~ending):
                    m.d.sync += [ending.eq(1), back_error.eq(error)]
                    # Errors of the front's reads are complete now; it may soon read for another job.
                    m.d.sync += [causes[n].eq(self.fetch_errors[n]) for n in FRONT_ERRORS]
                with m.If(ending & self.drained & self.write_idle):
                    m.next = "REPORT"
            with m.State("REPORT"):
                m.d.sync += causes[_V].eq(self.fetch_errors[_V])
                m.d.comb += self.back_state.eq(BackState.ENDING)
                with m.If(self.write_errors.any()):
                    for bit, code in reversed(list(enumerate(WRITE_ERRORS))):
                        with m.If(self.write_errors[bit]):
                            m.d.sync += back_error.eq(code)
                m.next = "CAUSE"
            with m.State("CAUSE"):
                m.d.comb += self.back_state.eq(BackState.ENDING)
                # A cause has priority over its consequence: a read error may have made the loaded state bad.
                for bit, code in reversed(list(enumerate(FETCH_ERRORS))):
                    if code != ErrorCode.READ_DESCRIPTOR:
                        with m.If(causes[bit] & ~back_refused):
                            m.d.sync += back_error.eq(code)
                m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += [
                    self.back_state.eq(BackState.ENDING), self.completion.valid.eq(1),
                    self.completion.payload.tag.eq(back_tag), self.completion.payload.error.eq(back_error),
                ]
                with m.If(self.completion.ready):
                    m.d.comb += self.retire.eq(~back_refused)
                    m.next = "IDLE"
        # A register: it may rise a cycle late, as the blocks behind take a new job a cycle late, and fall a cycle late,
        # as the next job's first probabilities come long after the front finishes with this one.
        m.d.sync += self.open.eq(fsm.ongoing("OPEN") & ~ending)
        running = Signal()       # a job is in the front
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += running.eq(1)
        with m.Elif(finished):
            m.d.sync += running.eq(0)
        m.d.comb += self.busy.eq(running | ~fsm.ongoing("IDLE"))

"""Numbers of slots and items, and jobs on their way through the two stages."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.job_reader import job_offer
from spatten_hw.control.stages import FETCH_ERRORS, WRITE_ERRORS, JobStages
from spatten_hw.control.tickets import TicketRing
from spatten_hw.interface.errors import ErrorCode

from .harnesses import held

#: Bits of a tag that tell jobs apart.
TAG = 3


class TicketHarness(wiring.Component):
    """No number is given out twice, all are in turn, and one that came back is there in the next cycle."""

    def __init__(self, count: int):
        self.count = count
        super().__init__({"take": In(1), "free": In(count)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = TicketRing(self.count)
        held_numbers = Signal(self.count)
        turn = Signal(range(self.count))
        m.d.comb += [
            dut.take.eq(self.take), dut.free.eq(self.free),
            Assume(~self.take | dut.available), Assume((self.free & ~held_numbers) == 0),
            Assert(dut.number == turn), Assert(dut.number < self.count),
            Assert(dut.available == ~held_numbers.bit_select(turn, 1)),
            Cover(held_numbers.all() & self.free.all()), Cover(self.take & self.free.any()),
        ]
        for n in range(self.count):
            with m.If(self.free[n]):
                m.d.sync += held_numbers[n].eq(0)
            with m.If(self.take & (turn == n)):
                m.d.sync += held_numbers[n].eq(1)
        with m.If(self.take):
            m.d.sync += turn.eq(Mux(turn == self.count - 1, 0, turn + 1))
        return m


class StagesHarness(wiring.Component):
    """Every job completes exactly once and in order, with its own tag; its two operations, its start, the open gate and
    `busy` belong to it. Around it: a pruner that answers each operation once, items and writes that end at any time.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "jobs": In(stream.Signature(job_offer(c))), "taken": In(1), "op_ready": In(1), "op_done": In(1),
            "op_error": In(1), "issued_all": In(1), "scored": In(1), "drained": In(1), "write_idle": In(1),
            "fetch_errors": In(len(FETCH_ERRORS)), "write_errors": In(len(WRITE_ERRORS)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = JobStages(self.config)
        held(m, self.jobs, Assume)
        wiring.connect(m, wiring.flipped(self.jobs), dut.jobs)
        held(m, dut.completion, Assert)
        held(m, dut.op, Assert)
        offer, done = self.jobs.p, dut.completion.p
        m.d.comb += [
            dut.completion.ready.eq(self.taken), dut.op.ready.eq(self.op_ready), dut.op_done.valid.eq(self.op_done),
            dut.op_done.payload.error.eq(self.op_error), dut.issued_all.eq(self.issued_all),
            dut.scored.eq(self.scored), dut.drained.eq(self.drained), dut.write_idle.eq(self.write_idle),
            dut.fetch_errors.eq(self.fetch_errors), dut.write_errors.eq(self.write_errors),
            # A field of the job tells whose it is.
            Assume(offer.job.tokens[:TAG] == offer.tag[:TAG]),
        ]

        # Jobs that have been taken and have not ended: the older one, and the younger one, which is in the front.
        open_job = data.StructLayout({"tag": 16, "error": 8, "generate": 1, "barrier": 1, "loads": 1, "stores": 1,
                                      "started": 1, "finished": 1, "bad": 1})
        older, younger = Signal(open_job), Signal(open_job)
        jobs = Signal(2)
        new = Signal(open_job)
        takes, ends = Signal(), Signal()
        m.d.comb += [
            takes.eq(self.jobs.valid & self.jobs.ready), ends.eq(dut.completion.valid & dut.completion.ready),
            new.tag.eq(offer.tag), new.error.eq(offer.error), new.generate.eq(offer.job.generate),
            new.barrier.eq(offer.job.barrier), new.loads.eq(offer.job.load_ids | offer.job.load_scores),
            new.stores.eq(offer.job.store_ids | offer.job.store_scores),
        ]

        # The pruner: one answer to each operation.
        asked, finishing = Signal(), Signal()
        op_moves, answers = Signal(), Signal()
        m.d.comb += [op_moves.eq(dut.op.valid & self.op_ready), answers.eq(self.op_done & dut.op_done.ready),
                     Assume(~self.op_done | asked), Assume(~(self.op_error & finishing)), Assert(~op_moves | ~asked)]
        with m.If(op_moves):
            m.d.sync += [asked.eq(1), finishing.eq(dut.op.p.finish)]
        with m.Elif(answers):
            m.d.sync += asked.eq(0)
        # The walker begins with `start`; once all items are issued and scored they stay so until the next.
        prepared = Signal()
        fresh = Signal()
        settled = Signal()
        m.d.sync += [fresh.eq(dut.start), settled.eq(self.issued_all & self.scored)]
        m.d.comb += [Assume(~fresh | ~self.issued_all), Assume(fresh | ~settled | (self.issued_all & self.scored))]
        with m.If(takes):
            m.d.sync += prepared.eq(0)
        with m.If(answers & ~finishing):
            m.d.sync += prepared.eq(~self.op_error)
        changes = [dut.start, answers & finishing, answers & ~finishing & self.op_error]
        self._books(m, jobs, older, younger, new, takes, ends, changes)

        running = Signal(open_job)  # the front's job as it is
        m.d.comb += running.eq(Mux(jobs == 2, younger, older))
        m.d.comb += [
            # Exactly once, in order, with its own tag.
            Assert(jobs != 3), Assert(~takes | (jobs != 2)), Assert(~dut.completion.valid | (jobs != 0)),
            Assert(dut.busy == (jobs != 0)),
            Assert(dut.front_clear == takes), Assert(dut.retire == (ends & (older.error == ErrorCode.OK))),
        ]
        with m.If(dut.completion.valid):
            m.d.comb += [
                Assert(done.tag == older.tag),
                # Either it ran to its end, or it was refused or came to nothing, and says so.
                Assert(older.finished | (older.error != ErrorCode.OK) | older.bad),
                Assert(~older.bad | (done.error != ErrorCode.OK)),
                Assert((older.error == ErrorCode.OK) | ~older.started),
            ]
        with m.If(dut.op.valid):
            m.d.comb += [
                Assert(jobs != 0), Assert(running.error == ErrorCode.OK), Assert(~running.finished & ~running.bad),
                Assert(dut.op.p.finish == running.started), Assert(dut.job.tokens[:TAG] == running.tag[:TAG]),
            ]
            with m.If(dut.op.p.finish):
                m.d.comb += [Assert(self.issued_all & self.scored), Assert(jobs == 1)]
            with m.Elif(jobs == 2):  # ahead of the older job's end: only what may be
                m.d.comb += [Assert(~running.barrier), Assert(~(running.loads & older.stores))]
        with m.If(dut.start):
            m.d.comb += [Assert(prepared), Assert(~running.started), Assert(running.error == ErrorCode.OK),
                         Assert(running.generate | (jobs == 1))]
        # The gate: both stages have the job, it is still in the front; of one that never began nothing waits there.
        with m.If(dut.open):
            m.d.comb += [Assert(jobs == 1), Assert(older.started | older.bad | (older.error != ErrorCode.OK)),
                         Assert(dut.same),
                         Assert(dut.back_job.tokens[:TAG] == older.tag[:TAG]),
                         Assert(dut.job.tokens[:TAG] == older.tag[:TAG])]
        with m.If((jobs == 2) & younger.started):
            m.d.comb += Assert(dut.back_job.tokens[:TAG] == older.tag[:TAG])
        m.d.comb += [
            Cover(ends & (jobs == 2) & younger.started), Cover(ends & older.bad & (jobs == 2)),
            Cover(ends & (older.error != ErrorCode.OK)), Cover(dut.open & older.generate),
            Cover(ends & older.finished & (done.error == ErrorCode.OK) & (done.tag == 5)),
        ]
        return m

    def _books(self, m: Module, jobs, older, younger, new, takes, ends, changes) -> None:
        """Keeps the two open jobs: `changes` belong to the younger one, which moves up as the older one ends."""
        flags = ("started", "finished", "bad")
        with m.If(jobs == 2):
            for flag, change in zip(flags, changes, strict=True):
                with m.If(change):
                    m.d.sync += getattr(younger, flag).eq(1)
        with m.Else():
            for flag, change in zip(flags, changes, strict=True):
                with m.If(change):
                    m.d.sync += getattr(older, flag).eq(1)
        with m.If(ends & (jobs == 2)):
            m.d.sync += older.eq(younger)
            for flag, change in zip(flags, changes, strict=True):
                with m.If(change):
                    m.d.sync += getattr(older, flag).eq(1)
        with m.If(takes & ((jobs == 0) | ((jobs == 1) & ends))):
            m.d.sync += older.eq(new)
        with m.Elif(takes):
            m.d.sync += younger.eq(new)
        m.d.sync += jobs.eq(jobs + takes - ends)

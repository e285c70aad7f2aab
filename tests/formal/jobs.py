"""Slots, and jobs on their way through the two stages."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In
from spatten_hw.control.slots import SlotRing, slot_entry

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.job_reader import job_offer
from spatten_hw.control.stages import FETCH_ERRORS, WRITE_ERRORS, JobStages
from spatten_hw.interface.errors import ErrorCode

from .harnesses import held

#: Bits of a tag that tell jobs apart.
TAG = 3


class SlotHarness(wiring.Component):
    """No slot is given out twice, all are in turn, and a free one is there two cycles after it came back."""

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "take": In(1), "entry": In(slot_entry(c)), "free_valid": In(1), "free_slot": In(c.slot_bits),
            "look_slot": In(c.slot_bits), "which": In(c.slot_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.dut = dut = SlotRing(c)
        held_slots = Signal(c.slots)
        m.d.comb += [
            dut.take.eq(self.take), dut.entry.eq(self.entry), dut.free_valid.eq(self.free_valid),
            dut.free_slot.eq(self.free_slot), dut.look_slot.eq(self.look_slot),
            Assume(~self.take | dut.available),
            Assume(~self.free_valid | ((self.free_slot < c.slots) & held_slots.bit_select(self.free_slot, 1))),
            Assume((self.look_slot < c.slots) & (self.which < c.slots)),
        ]
        for s in range(c.slots):
            with m.If(self.free_valid & (self.free_slot == s)):
                m.d.sync += held_slots[s].eq(0)
            with m.If(self.take & (dut.slot == s)):
                m.d.sync += held_slots[s].eq(1)
        turn = Signal(range(max(2, c.slots)))
        waited = Signal(2)
        with m.If(self.take):
            m.d.sync += turn.eq(Mux(turn == c.slots - 1, 0, turn + 1))
        with m.If(held_slots.bit_select(turn, 1) | self.take):
            m.d.sync += waited.eq(0)
        with m.Elif(~dut.available & (waited != 3)):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += [
            Assert(dut.slot == turn), Assert(dut.slot < c.slots),
            Assert(~dut.available | ~held_slots.bit_select(dut.slot, 1)),
            Assert(dut.empty == (held_slots == 0)),
            # One cycle in which it is free and not yet said to be.
            Assert(waited <= 1),
            Cover(held_slots.all() & self.free_valid), Cover(self.take & self.free_valid),
        ]
        # What is kept for a slot is what came when it was taken.
        started, which = Signal(), Signal(c.slot_bits)
        entry = Signal(slot_entry(c))
        m.d.sync += [started.eq(1), which.eq(self.which)]
        m.d.comb += Assume(~started | (which == self.which))
        with m.If(self.take & (dut.slot == self.which)):
            m.d.sync += entry.eq(self.entry)
        with m.If(held_slots.bit_select(self.which, 1) & (self.look_slot == self.which)):
            m.d.comb += Assert(dut.look == entry)
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

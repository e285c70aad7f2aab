"""JobStages: random jobs through both stages, with everything around them made up: order, gates, waiting, errors."""

from types import SimpleNamespace

import cocotb
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.csr import completion_layout
from spatten_hw.control.job_reader import job_offer
from spatten_hw.control.stages import FETCH_ERRORS, FRONT_ERRORS, WRITE_ERRORS, JobStages
from spatten_hw.interface.activity import BackState, FrontState
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import run_bench

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=16, max_tokens=8, sram_tokens=4, max_heads=4, max_group=2,
                     slots=4, topk_lanes=4, channels=1, axi_data_bits=64)
V = FETCH_ERRORS.index(ErrorCode.READ_V)
STATE = FETCH_ERRORS.index(ErrorCode.READ_STATE)
FLAGS = ("generate", "barrier", "load_ids", "load_scores", "store_ids", "store_scores")


def random_job(rng, number):
    """What a job says, what will go wrong with it, and how it must end."""
    j = SimpleNamespace(number=number, items=rng.randint(1, 6), refused=rng.random() < 0.1, bad=rng.random() < 0.1,
                        fetch=set(), write=set(), **{f: int(rng.random() < 0.3) for f in FLAGS})
    j.generate = int(rng.random() < 0.7)
    if rng.random() < 0.3:
        j.fetch = set(rng.sample([*FRONT_ERRORS, V], rng.randint(1, 2)))
    if rng.random() < 0.2:
        j.write = {rng.randrange(len(WRITE_ERRORS))}
    if j.refused:
        j.code = ErrorCode.RESERVED_BITS
    elif j.bad:
        j.fetch &= {STATE}
        j.code = ErrorCode.READ_STATE if j.fetch else ErrorCode.BAD_STATE
    else:
        causes = [FETCH_ERRORS[n] for n in sorted(j.fetch)] + [WRITE_ERRORS[n] for n in sorted(j.write)]
        j.code = causes[0] if causes else ErrorCode.OK
    return j


class World:
    """Pruner, walker, softmax, outputs and memory as `JobStages` sees them."""

    def __init__(self, dut, bench, jobs):
        self.dut, self.bench, self.rng, self.jobs = dut, bench, bench.rng, jobs
        self.front, self.back = -1, -1       # number of the job a stage has (or had last)
        self.unissued = self.scoring = self.outputs = self.writes = 0
        self.fetch, self.write = set(), set()
        self.started, self.retired, self.overlapped = set(), 0, 0
        self.ops = self.ends = 0
        self.preparing = True
        self.replies: list[list[int]] = []
        self.seen: set = set()
        self.taken_at_once = False

    def look(self):
        """Once a cycle, everything settled."""
        d, rng = self.dut, self.rng
        ended = len(self.bench.sinks["completion"].items)
        if int(d.front_clear.value):
            self.front += 1
            assert self.unissued == self.scoring == 0, "a job came before the scores of the one before were out"
            self.fetch -= set(FRONT_ERRORS)
            self.preparing = True
        j = self.jobs[self.front]
        if int(d.back_clear.value):
            self.back += 1
            assert self.back == self.front == ended and self.outputs == self.writes == 0
            self.fetch -= {V}
            self.write.clear()
        if int(d.start.value):
            assert j.number not in self.started and not j.refused and not j.bad
            assert j.generate or ended == j.number, "a prompt began to load beside another job"
            self.started.add(j.number)
            self.unissued = j.items
            self.fetch |= j.fetch & set(FRONT_ERRORS)
        elif self.unissued and rng.random() < 0.5:
            self.unissued -= 1
            self.scoring += 1
        if self.scoring and int(d.open.value):
            assert self.back == self.front, "probabilities pass into the job before"
            if rng.random() < 0.5:
                self.scoring -= 1
                self.outputs += 1
                if rng.random() < 0.5 or not (self.scoring or self.unissued):
                    self.fetch |= j.fetch & {V}
        elif self.outputs and rng.random() < 0.3:
            self.outputs -= 1
            self.writes += 1
            self.write |= self.jobs[self.back].write
        elif self.writes and rng.random() < 0.3:
            self.writes -= 1
        self.overlapped += self.back >= 0 and self.back != self.front and ended <= self.back and self.scoring > 0
        assert int(d.same.value) or self.back != self.front
        if int(d.busy.value) == 0:
            assert ended > self.front or self.front_is_new()
        self.retired += int(d.retire.value)
        self._states(ended)
        self._serve(j, ended)

    def _states(self, ended):
        """What the stages say that they do (register ACTIVITY) is what can be seen of them."""
        d = self.dut
        front, back = FrontState(int(d.front_state.value)), BackState(int(d.back_state.value))
        assert (front == FrontState.IDLE) == bool(int(d.jobs__ready.value))
        if int(d.op__valid.value):
            finish = int(d.op__payload.value)
            assert front == (FrontState.SCORING if finish else FrontState.PREPARING)
        if int(d.op_done__ready.value):
            assert front in (FrontState.PREPARING, FrontState.FINISHING)
        if self.taken_at_once:
            assert int(d.back_clear.value), "a job that starts with the back stage free is given to it in that cycle"
        self.taken_at_once = bool(int(d.start.value)) and back == BackState.IDLE
        if int(d.start.value):
            assert front == FrontState.HELD
        if int(d.completion__valid.value):
            assert back == BackState.ENDING
        if self.back == self.front and not int(d.back_clear.value) and ended <= self.back:
            assert back != BackState.IDLE
        if front == FrontState.REFUSED:
            assert self.jobs[self.front].refused or self.jobs[self.front].bad
        self.seen |= {front, back}

    def front_is_new(self):
        """The last job was taken in this very cycle."""
        return bool(int(self.dut.front_clear.value))

    def _serve(self, j, ended):
        """Operations of the pruner: looked at when taken, answered some cycles later."""
        for finish in self.bench.sinks["op"].items[self.ops:]:
            self.ops += 1
            if finish:
                assert j.number in self.started and not (self.unissued or self.scoring)
                self.replies.append([self.rng.randint(0, 6), 0])
                continue
            waits = j.barrier
            if self.back >= 0 and (j.load_ids or j.load_scores):
                waits |= self.jobs[self.back].store_ids | self.jobs[self.back].store_scores
            assert not waits or ended == j.number, "did not wait for the jobs before"
            if j.bad:
                self.fetch |= j.fetch
            self.replies.append([self.rng.randint(0, 6), int(j.bad)])
        for reply in self.replies:
            reply[0] -= 1
        while self.replies and self.replies[0][0] < 0:
            self.bench.sources["op_done"].items.append(self.replies.pop(0)[1])

    def drive(self):
        """Inputs of the next cycle."""
        d = self.dut
        d.issued_all.value = int(not self.unissued)
        d.scored.value = int(not self.scoring)
        d.drained.value = int(not self.outputs)
        d.write_idle.value = int(not self.writes)
        d.fetch_errors.value = sum(1 << n for n in self.fetch)
        d.write_errors.value = sum(1 << n for n in self.write)


@cocotb.test()
async def random_jobs(dut):
    bench = Bench(dut, ["jobs", "op_done"], ["op", "completion"])
    rng = bench.rng
    for stall in (0.0, 0.5):
        jobs = [random_job(rng, n) for n in range(150)]
        await bench.start()
        world = World(dut, bench, jobs)
        offers = [pack(job_offer(TINY), {
            "job": {f: getattr(j, f) for f in FLAGS}, "scales": j.number % 4, "tag": j.number + 7,
            "error": j.code if j.refused else 0}) for j in jobs]
        bench.send("jobs", offers, stall)
        bench.send("op_done", [])
        bench.receive("op", stall)
        done = bench.receive("completion", stall)
        for _ in range(30_000):
            world.drive()
            await bench.step(world.look)
            if len(done.items) == len(jobs):
                break
        got = [unpack(completion_layout(), item) for item in done.items]
        assert [(g["tag"], g["error"]) for g in got] == [(j.number + 7, j.code) for j in jobs]
        assert world.started == {j.number for j in jobs if not j.refused and not j.bad}
        assert world.retired == sum(not j.refused for j in jobs)
        assert world.seen == {*FrontState, *BackState}
        assert world.overlapped > 20, "scores of a job were made beside the outputs of another"


@pytest.mark.parametrize("config", [TINY])
def test_stages(config):
    run_bench(JobStages(config), __name__)

"""Nothing between the blocks is forgotten: the end of a job, and the pruner, wait for what the skid buffers hold.

A head's last sum can be in its buffer as the pruner looks. A beat cannot be in its own as a job ends: it is there two
cycles before the sum for which the job waits, and the writer takes it at once, or is not idle, or is inside a section
of state, for which the job waits too. But that is not in the writer's contract: here it, and the pruner, take things
late.
"""

import dataclasses

import pytest
from amaranth import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from spatten_hw.host.driver import Driver
from spatten_hw.host.plan import Plan
from spatten_hw.prune.pruner import Pruner
from spatten_hw.sim.engine import compare_pass
from spatten_hw.sim.golden.integer_engine import run_golden
from spatten_hw.sim.harness.build import TOP, build_library
from spatten_hw.sim.harness.transport import VerilatedTransport
from spatten_hw.top import Top
from spatten_hw.units import Unit
from spatten_hw.verilog import to_verilog
from spatten_hw.write.writer import Writer

from ..faults.jobs import Solo
from .builds import LEAST, WIDE, transport
from .test_jobs import load, make

#: A row of outputs is one beat, and a burst of its own: the writer holds none back for a longer burst.
CONFIG = LEAST.replace(name="guards", axi_data_bits=128, max_tokens=64)
#: Cycles that a beat, or a sum, is there before it is taken. Beats: longer than the memory takes to answer, so that
#: the writer is idle meanwhile; sums: shorter, so that the last beat of a job waits longer than its sums.
BEAT_DELAY, SUM_DELAY = 60, 20
LIMIT = 100_000


def delay(m: Module, name: str, source: stream.Interface, sink: stream.Interface, cycles: int) -> None:
    """Joins them so that each payload waits `cycles` before `sink` sees it."""
    waited = Signal(range(cycles + 1), name=f"{name}_waited")
    seen = waited == cycles
    m.d.comb += [sink.valid.eq(source.valid & seen), sink.payload.eq(source.payload),
                 source.ready.eq(sink.ready & seen)]
    with m.If(sink.valid & sink.ready):
        m.d.sync += waited.eq(0)
    with m.Elif(source.valid & ~seen):
        m.d.sync += waited.eq(waited + 1)


def late(outer: wiring.Component, inner: wiring.Component, delays: dict[str, int]) -> Module:
    """The body of `outer`: `inner`, with the same ports, whose streams `delays` go in late."""
    m = Module()
    m.submodules.inner = inner
    for (path, member, outside), (_, _, inside) in zip(
            outer.signature.flatten(outer), inner.signature.flatten(inner), strict=True):
        if path[0] not in delays:
            sink, source = (inside, outside) if member.flow is In else (outside, inside)
            m.d.comb += Value.cast(sink).eq(Value.cast(source))
    for name, cycles in delays.items():
        delay(m, name, getattr(outer, name), getattr(inner, name), cycles)
    return m


class LateWriter(Writer):
    def elaborate(self, platform) -> Module:
        return late(self, Writer(self.config), {"rows": BEAT_DELAY, "state": BEAT_DELAY})


class LatePruner(Pruner):
    def elaborate(self, platform) -> Module:
        return late(self, Pruner(self.config), {"head_sums": SUM_DELAY})


@pytest.fixture(scope="module")
def library():
    with pytest.MonkeyPatch.context() as patch:
        load, instead = Unit.load, {"writer": LateWriter, "pruner": LatePruner}
        patch.setattr(Unit, "load", lambda unit: instead.get(unit.name) or load(unit))
        verilog = to_verilog(Top(CONFIG), TOP, contracts=True)
    return build_library(verilog, CONFIG.channels, CONFIG.axi_data_bits)


@pytest.fixture
def driver(library):
    with VerilatedTransport(CONFIG, library=library, latency=1) as port:
        yield Driver(CONFIG, port)


@pytest.mark.parametrize("store", [False, True], ids=["outputs", "outputs and scores"])
def test_a_job_ends_after_its_last_beat_is_written(driver, store):
    """The last beat of a job is one of its outputs, or of its scores; these contain the last output's sum."""
    solo = Solo(CONFIG, 1)
    p = dataclasses.replace(solo.run, job=solo.run.job.replace(store_ids=0, store_scores=store))
    solo.load(driver)
    driver.submit(p.job, 1, p.descriptor)
    assert driver.wait(LIMIT).error == 0
    expected = dataclasses.replace(solo.expected, ids=None, scores=solo.expected.scores if store else None)
    assert not compare_pass(driver._outcome(p, 0), expected)


def test_heads_are_pruned_with_every_sum():
    """The next layer's pruning waits for the last sum of this one's: a row is one beat, and V comes late."""
    with transport(WIDE, latency=300) as port:
        driver = Driver(WIDE, port)
        for seed in range(12):
            workload = make(seed, tokens=6, queries=1, heads=2, dim=8, keep_heads=[2, 1, 1])
            plan = Plan(workload, WIDE)
            # Storing the survivors would wait for the sums, too.
            passes = [dataclasses.replace(p, job=p.job.replace(store_ids=0, store_scores=0)) for p in plan.passes]
            for p in passes:
                load(driver, plan, p)
            for tag, p in enumerate(passes):
                driver.submit(p.job, tag, p.descriptor)
            assert [driver.wait(LIMIT).error for _ in passes] == [0] * len(passes)
            for p, want in zip(passes, run_golden(plan).results, strict=True):
                assert not compare_pass(driver._outcome(p, 0), dataclasses.replace(want, ids=None, scores=None)), seed


def test_what_waits_for_the_writer_counts_as_buffered(driver):
    solo = Solo(CONFIG, 2)
    solo.submit(driver, 1)
    assert driver.wait(LIMIT).error == 0
    counters = driver.counters()
    beats = counters.bytes["out"] // CONFIG.beat_bytes
    assert counters.values["busy_write"] >= beats * BEAT_DELAY

"""Runs drawn jobs on the generated Verilog in simulation: cycles of every job alone, and of all of them queued."""

from __future__ import annotations

from dataclasses import dataclass

from spatten_hw.host.driver import Driver, default_limit
from spatten_hw.host.plan import Plan
from spatten_hw.sim.engine import compare_counters, compare_pass
from spatten_hw.sim.golden.integer_engine import golden_results
from spatten_hw.sim.golden.layer_result import LayerResult
from spatten_hw.sim.harness.transport import VerilatedTransport

from .work import Work

#: Cycles from a read's address to its first data, as the benches have it.
LATENCY = 8


@dataclass(frozen=True)
class Measured:
    """The jobs of a plan: their work, the cycles of each alone (the accelerator idle before it), and those of the plan
    queued back to back."""

    work: Work
    cycles: list[int]
    queued: int


def work_of(plan: Plan) -> Work:
    """The work of a plan's jobs, by the golden model."""
    return _work(plan, golden_results(plan, plan.config))


def _work(plan: Plan, golden: list[LayerResult]) -> Work:
    return Work.of_jobs([p.job for p in plan.passes], golden, [p.descriptor for p in plan.passes], plan.config)


def measure(plan: Plan, transport: VerilatedTransport) -> Measured:
    """Both ways on one simulation. Raises `AssertionError` where hardware and golden model differ, in a result or in
    bytes."""
    golden = golden_results(plan, plan.config)
    transport.reset()
    driver = Driver(plan.config, transport)
    found: list[str] = []
    for outcome, expected in zip(driver.run_layers(plan), golden, strict=True):
        found += compare_pass(outcome, expected)
    counters = driver.counters()
    found += compare_counters(counters, golden)
    queued = counters.cycles
    assert not found, found
    return Measured(_work(plan, golden), _alone(plan, transport), queued)


def _alone(plan: Plan, transport: VerilatedTransport) -> list[int]:
    """Cycles of every job that waits for the end of the one before."""
    transport.reset()
    driver = Driver(plan.config, transport)
    driver.clear_counters()
    cycles: list[int] = []
    before, stored = 0, None
    for tag, p in enumerate(plan.passes):
        if p.step == 0:
            driver.write(plan.layer_data(p.layer))
        if p.scores is not None or p.new_token is not None:
            words = plan.scores_to_load(p, stored)
            assert words is not None
            driver.write_words(p.job.scores_in, words)
        job = p.job
        driver.submit(job, tag, p.descriptor)
        done = driver.wait(default_limit(job))
        assert not done.error, done
        now = driver.counters().cycles
        cycles.append(now - before)
        before = now
        stored = driver.read_words(job.scores_out, job.tokens + job.heads) if job.store_scores else None
    return cycles

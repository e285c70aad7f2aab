"""Jobs of a preset: state saved and restored between two sequences, two jobs at a time, resets in the middle."""

import dataclasses

import numpy as np
import pytest

from spatten_hw.host.driver import Driver
from spatten_hw.host.plan import Plan
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.sim.engine import compare_pass, run_workload
from spatten_hw.sim.golden.integer_engine import run_golden

from ..integration.test_jobs import LIMIT, end_of, load, make
from .workloads import transport

DIM = 32


@pytest.mark.parametrize("hostile", [False, True])
def test_two_sequences_share_one_accelerator(config, hostile):
    """State stored after every layer and loaded before the next: each sequence as if it were alone."""
    first = Plan(make(1, dim=DIM), config)
    second = Plan(make(2, tokens=9, queries=1, heads=2, dim=DIM), config, base=end_of(first))
    spare = {id(first): end_of(second), id(second): end_of(second) + 4096}
    with transport(config, hostile=hostile) as port:
        driver = Driver(config, port)
        for layer in range(3):
            for plan in (first, second):
                p, kept = plan.passes[layer], spare[id(plan)]
                job = p.job.replace(store_scores=1, scores_out=kept)
                if layer:
                    job = job.replace(load_ids=1, ids_in=plan.passes[layer - 1].job.ids_out, load_scores=1,
                                      scores_in=kept, restart=0)
                load(driver, plan, p)
                driver.submit(job, layer, p.descriptor)
                done = driver.wait(LIMIT)
                assert done.error == 0, ErrorCode(done.error).text
                want = run_golden(plan).results[layer]
                # `_outcome` looks for scores where the plan would have put them.
                assert not compare_pass(driver._outcome(p, 0), dataclasses.replace(want, scores=None))
                if want.scores is not None:
                    assert np.array_equal(driver.read_words(kept, len(want.scores)), want.scores)


@pytest.mark.parametrize("queries", [None, 3])
def test_two_jobs_at_a_time(config, queries):
    """Jobs pushed without waiting: right, and sooner done than one at a time, since the next one has begun before."""
    workload = make(3, tokens=14, queries=queries, layers=6, dim=DIM)
    with transport(config) as port:
        queued = run_workload(workload, config, "rtl", lambda _: port, cycle_limit=LIMIT)
    assert queued.bit_exact, queued.mismatches
    plan = Plan(workload, config)
    assert len(plan.passes) > config.job_queue + 1
    alone = 0
    with transport(config) as port:
        driver = Driver(config, port)
        stored = None
        for p, want in zip(plan.passes, run_golden(plan).results, strict=True):
            words = plan.scores_to_load(p, stored)
            if words is not None:
                driver.write_words(p.job.scores_in, words)
            load(driver, plan, p)
            before = driver.counters().cycles
            driver.submit(p.job, 1, p.descriptor)
            assert driver.wait(LIMIT).error == 0
            alone += driver.counters().cycles - before
            outcome = driver._outcome(p, 0)
            assert not compare_pass(outcome, want)
            stored = outcome.scores
    assert queued.cycles < alone, (queued.cycles, alone)


@pytest.mark.parametrize("cycles", [1, 70, 333])
def test_a_reset_in_the_middle(config, cycles):
    """The same workload from the start is right afterwards."""
    workload = make(4, queries=2, dim=DIM)
    plan = Plan(workload, config)
    with transport(config, hostile=True) as port:
        driver = Driver(config, port)
        for tag, p in enumerate(plan.passes[:2]):
            load(driver, plan, p)
            driver.submit(p.job, tag, p.descriptor)
        port.run(cycles)
        port.reset()
        again = run_workload(workload, config, "rtl", lambda _: port, cycle_limit=LIMIT)
    assert again.bit_exact, again.mismatches

"""Resets of any length at any moment of running jobs: nothing of before is left, and the next job is right."""

import os
import random

import pytest

from spatten_hw.host.driver import Driver
from spatten_hw.host.plan import Plan
from spatten_hw.interface.registers import registers
from spatten_hw.sim.engine import compare_pass, run_workload
from spatten_hw.sim.golden.integer_engine import run_golden

from .builds import LEAST, QUAD, transport
from .test_jobs import load, make, run_pass

SEED = int(os.environ.get("SEED", "23"))
#: Cycles of a reset: the fewest there are, and some.
WIDTHS = (1, 1, 2, 3)
#: Cycles without a job in which whatever is left behind would show itself.
QUIET = 60


def shown(port):
    """What every register shows: counters and state included."""
    return {r.name: port.read32(r.offset) for r in registers(port.config)}


@pytest.mark.parametrize("hostile", [False, True], ids=["fast", "hostile"])
@pytest.mark.parametrize("config, queries", [(QUAD, None), (QUAD, 2), (LEAST, 2)], ids=["prompt", "steps", "least"])
def test_short_resets_leave_nothing_behind(config, queries, hostile):
    rng = random.Random(SEED + hostile)
    dim = min(16, config.max_dim)
    msb = min(6, config.operand_bits - 4)
    workload = make(4, queries=queries, dim=dim, k_bits=[msb, 4], v_bits=[msb, 4],
                    q_bits=min(12, config.operand_bits))
    plan = Plan(workload, config)
    want = run_golden(plan).results[0]
    with transport(config, hostile=hostile, seed=SEED) as port:
        # With a long reset. Fetcher and writer seem to be busy for a moment after any, and that is counted.
        port.reset(20)
        fresh = shown(port)
        assert all(fresh[r.name] == r.reset or (r.name.startswith(("BUSY_", "STALL_")) and fresh[r.name] < 5)
                   for r in registers(config))
        driver = Driver(config, port)
        for p in plan.passes[:2]:
            load(driver, plan, p)
        start = port.cycles
        assert run_pass(driver, plan, plan.passes[0])[0].error == 0
        length = port.cycles - start
        for n in range(40):
            where = f"SEED={SEED}, reset {n}"
            driver = Driver(config, port)
            for tag, p in enumerate(plan.passes[:2]):
                driver.submit(p.job, tag, p.descriptor)
            port.run(rng.randrange(1, 2 * length))
            port.reset(rng.choice(WIDTHS))
            before = port.traffic()
            assert not port.wait_irq(rng.choice((1, QUIET))), where
            assert shown(port) == fresh, where
            port.run(QUIET)
            assert port.traffic() == before, where
            if n % 4 == 3:
                done, outcome = run_pass(Driver(config, port), plan, plan.passes[0], tag=n)
                assert (done.tag, done.error) == (n, 0), where
                assert not compare_pass(outcome, want), where
                port.reset(rng.choice(WIDTHS))
        again = run_workload(workload, config, "rtl", lambda _: port)
    assert again.bit_exact, again.mismatches

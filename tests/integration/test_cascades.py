"""Whole accelerator in simulation against the golden model: random multi-layer cascades, bit for bit."""

import os
import random

import pytest

from sim.engine import run_workload
from spatten_hw.host.workload import make_workload

from .builds import BUILDS, random_workload, transport

SEED = int(os.environ.get("SEED", "1"))
#: Workloads per build; each is a few layers and some thousand cycles.
RUNS = 60
CYCLE_LIMIT = 400_000


@pytest.mark.parametrize("name", BUILDS)
def test_random_cascades_equal_the_golden_model(name):
    """Outputs, survivors, scores, refetches, bytes by class; half of the runs with hostile memory."""
    config = BUILDS[name]
    stages = set()
    for run in range(RUNS):
        rng = random.Random(f"{SEED} {name} {run}")
        arrays, job = random_workload(rng, config)
        with transport(config, hostile=run % 2 == 1, seed=run + 1) as port:
            result = run_workload(make_workload(arrays, job), config, "rtl", lambda _, port=port: port,
                                  cycle_limit=CYCLE_LIMIT)
        assert result.bit_exact, f"SEED={SEED} run {run}: {job} {arrays['q'].shape}: {result.mismatches}"
        stages.add(job["stage"])
    assert stages == {"summarise", "generate"}

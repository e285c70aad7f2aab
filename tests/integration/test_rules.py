"""Whole accelerator in simulation against the golden model: the decision rules beside the paper's, at random."""

import random
from collections import Counter

import pytest

from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import run_workload

from .builds import BUILDS, random_rules, random_workload, transport
from .test_cascades import CYCLE_LIMIT, SEED

#: Workloads per build, each with some of the rules.
RUNS = 24


@pytest.mark.parametrize("name", BUILDS)
def test_random_rules_equal_the_golden_model(name):
    """Outputs, survivors, scores, refetches, bytes by class; half of the runs with hostile memory."""
    config = BUILDS[name]
    seen = Counter()
    for run in range(RUNS):
        rng = random.Random(f"rules {SEED} {name} {run}")
        arrays, job = random_workload(rng, config)
        job = random_rules(rng, job)
        with transport(config, hostile=run % 2 == 1, seed=run + 1) as port:
            result = run_workload(make_workload(arrays, job), config, "rtl", lambda _, port=port: port,
                                  cycle_limit=CYCLE_LIMIT)
        assert result.bit_exact, f"SEED={SEED} run {run}: {job} {arrays['q'].shape}: {result.mismatches}"
        seen.update({(job["stage"], rule) for rule in ("lsb_margin", "keep_mass", "give_back") if rule in job})
    assert len(seen) == 5, seen

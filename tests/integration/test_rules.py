"""Whole accelerator in simulation against the golden model: the decision rules beside the paper's, at random."""

import random
from collections import Counter

import pytest

from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import run_workload

from .builds import BUILDS, fitting, random_rules, random_workload, transport
from .corners import CORNERS
from .test_cascades import CYCLE_LIMIT, SEED

#: Workloads per build, most with some of the rules. Of builds that differ in a size or two: fewer.
RUNS, CORNER_RUNS = 30, 16


@pytest.mark.parametrize("name", [*BUILDS, *(name for name, c in CORNERS.items() if c.decision_rules)])
def test_random_rules_equal_the_golden_model(name):
    """Outputs, survivors, scores, refetches, bytes by class; half of the runs with hostile memory."""
    config = (BUILDS | CORNERS)[name]
    seen = Counter()
    for run in range(RUNS if name in BUILDS else CORNER_RUNS):
        rng = random.Random(f"rules {SEED} {name} {run}")
        arrays, job = random_workload(rng, config)
        job = random_rules(rng, job)
        arrays, job = fitting(config, arrays, job)
        with transport(config, hostile=run % 2 == 1, seed=run + 1) as port:
            result = run_workload(make_workload(arrays, job), config, "rtl", lambda _, port=port: port,
                                  cycle_limit=CYCLE_LIMIT)
        assert result.bit_exact, f"SEED={SEED} run {run}: {job} {arrays['q'].shape}: {result.mismatches}"
        seen.update({(job["stage"], rule) for rule in ("lsb_margin", "keep_mass", "give_back") if rule in job})
    assert len(seen) == 5 or name in CORNERS, seen

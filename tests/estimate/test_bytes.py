"""Bytes of the model are those of the golden accelerator, job for job, class for class."""

import random

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.host import Plan, make_workload
from spatten_hw.host.results import BYTE_CLASSES
from spatten_hw.presets import PRESETS
from spatten_hw.sim.estimate import Work, estimate
from spatten_hw.sim.estimate.draw import draw_plan
from spatten_hw.sim.estimate.traffic import bytes_moved
from spatten_hw.sim.golden.integer_engine import golden_results
from spatten_hw.sim.soak.workload import random_rules, random_workload


def hostile(seed):
    """A workload as the soak tests draw them: single tokens, masks, all widths."""
    rng = random.Random(seed)
    config = PRESETS[list(PRESETS)[seed % 3]]
    arrays, job = random_workload(rng, config, 48, most_heads=6)
    if config.decision_rules and rng.random() < 0.5:
        job = random_rules(rng, job)
    return Plan(make_workload(arrays, job), config)


@pytest.mark.parametrize("make, seeds", [(hostile, range(36)), (draw_plan, range(0, 24))],
                         ids=["hostile", "drawn"])
def test_exact(make, seeds):
    for seed in seeds:
        plan = make(seed)
        golden = golden_results(plan, plan.config)
        work = Work.of_jobs([p.job for p in plan.passes], golden, [p.descriptor for p in plan.passes])
        found = bytes_moved(work, plan.config)
        for n, result in enumerate(golden):
            assert {name: found[name][n] for name in BYTE_CLASSES} == result.bytes, f"seed {seed}, job {n}"


def test_words_at_any_address():
    """Descriptors and state that begin inside a beat touch one more."""
    config = PRESETS["full"]
    plan = draw_plan(5)
    golden = golden_results(plan, config)
    work = Work.of_jobs([p.job for p in plan.passes], golden, [24] * len(plan.passes))
    found = bytes_moved(work.replace(loads_state=1, ids_at=8), config)["other"]
    there = bytes_moved(work.replace(descriptor_at=0, loads_state=1, ids_at=0), config)["other"]
    assert np.all(found >= there)
    assert np.any(found > there)


def test_jobs_of_several_queries_are_refused():
    plan = draw_plan(15)
    job = plan.passes[0].job
    assert job.generate
    with pytest.raises(UserError, match="2 queries"):
        Work.of_jobs([job.replace(queries=2)], golden_results(plan, plan.config)[:1])


def test_expected_is_what_ratios_say():
    config = PRESETS["full"]
    work = Work.expected(tokens=1000, heads=12, dim=64, k_bits=8, keep_tokens=0.5, keep_values=0.2)
    found = estimate(work, config).bytes
    assert work.tokens[0] == 500 and work.union[0] == pytest.approx(100)
    assert found["k_msb"][0] == 12 * 500 * 64 and found["v_msb"][0] == 12 * 100 * 64
    # Two queries of a group that choose alike read as much as one, two that do not nearly twice as much.
    pair = Work.expected(tokens=1000, heads=12, group=2, dim=64, keep_values=0.2, overlap=[1.0, 0.0])
    assert pair.union[0] == pytest.approx(200) and pair.union[1] == pytest.approx(360)

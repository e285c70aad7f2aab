"""Whole accelerator in simulation against the golden model: generation jobs of several queries, at random and in the
order of a conversation."""

import random
from collections import Counter

import numpy as np
import pytest

from spatten_hw.host.driver import Driver, JobError
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.sim.engine import run_workload
from spatten_hw.sim.golden.cascade import CascadeError
from spatten_hw.sim.golden.integer_engine import golden_results
from spatten_hw.sim.soak.workload import random_queries

from .builds import BUILDS, QUAD, random_rules, random_workload, transport
from .corners import CORNERS
from .test_cascades import CYCLE_LIMIT, SEED

#: Builds with the feature: groups of one and more, one slice and many, one chunk and several, both engines.
#: (Most have it anyway: a library serves them and the random cascades.)
CONFIGS = {c.name: c.replace(chunk_queries=1) for c in (*BUILDS.values(), CORNERS["ten"])}
RUNS = 24


def workload(arrays, job):
    return make_workload(arrays, {"stage": "generate", **job})


@pytest.mark.parametrize("name", CONFIGS)
def test_random_queries_equal_the_golden_model(name):
    """Outputs, survivors, scores, refetches, bytes by class; half of the runs with hostile memory."""
    config = CONFIGS[name]
    seen = Counter()
    for run in range(RUNS):
        rng = random.Random(f"queries {SEED} {name} {run}")
        arrays, job = random_queries(rng, *random_workload(rng, config, stage="generate"))
        if config.decision_rules and rng.random() < 0.6:
            job = random_rules(rng, job)
        with transport(config, hostile=run % 2 == 1, seed=run + 1) as port:
            result = run_workload(make_workload(arrays, job), config, "rtl", lambda _, port=port: port,
                                  cycle_limit=CYCLE_LIMIT)
        assert result.bit_exact, f"SEED={SEED} run {run}: {job} {arrays['q'].shape}: {result.mismatches}"
        blocks = -(-job["queries"] // config.chunk_positions(arrays["q"].shape[1] // arrays["k"].shape[1]))
        seen.update({"blocks": blocks > 1, "flat": bool(result.outputs.refetched.any()), "by key": "lsb_margin" in job,
                     "pruned": "keep_tokens" in job, "by mass": "keep_mass" in job, "all": job["queries"] > 1})
    assert all(count > 0 for count in seen.values()), seen


def conversation(config, queries):
    """Two layers over 40 tokens, the last 12 of which are queries."""
    numbers = np.random.default_rng(SEED)
    arrays = {"q": numbers.normal(size=(2, 4, 12, 16)), "k": numbers.normal(size=(2, 4, 40, 16)),
              "v": numbers.normal(size=(2, 4, 40, 16))}
    with transport(config) as port:
        result = run_workload(workload(arrays, {"queries": queries}), config, "rtl", lambda _: port,
                              cycle_limit=CYCLE_LIMIT)
    assert result.bit_exact, result.mismatches
    return result


def test_queries_at_once_are_those_one_by_one_for_fewer_bytes():
    """Nothing is pruned: the same outputs, and K and V once per block of four positions."""
    config = CONFIGS["quad"]
    one, several = conversation(config, None), conversation(config, 12)
    assert np.array_equal(one.outputs.out, several.outputs.out)
    row = 16 * 12 // 8
    for name in ("k_msb", "v_msb"):
        assert one.bytes[name] == 2 * 4 * row * sum(range(29, 41))
        assert several.bytes[name] == 2 * 4 * row * (32 + 36 + 40)
    assert several.cycles < one.cycles / 2


@pytest.mark.slow
def test_eight_queries_on_a_cache_of_8192_tokens():
    """K and V once per block of two, whatever the SRAMs hold, which here is 16 tokens."""
    config, row = CONFIGS["least"], 8
    numbers = np.random.default_rng(SEED)
    arrays = {n: numbers.normal(size=(1, 2, 8 if n == "q" else 8192, 8)) for n in "qkv"}
    job = {"queries": 8, "q_bits": 8, "k_bits": 8, "v_bits": 8}
    with transport(config) as port:
        result = run_workload(workload(arrays, job), config, "rtl", lambda _: port, cycle_limit=9_000_000)
    assert result.bit_exact, result.mismatches
    assert result.bytes["k_msb"] == result.bytes["v_msb"] == 2 * row * sum(8192 - n for n in (6, 4, 2, 0))


@pytest.mark.slow
def test_a_prompt_in_blocks():
    """200 tokens on SRAMs for 16: every query sees the tokens up to its own."""
    config, row = CONFIGS["least"], 8
    numbers = np.random.default_rng(SEED)
    arrays = {n: numbers.normal(size=(1, 2, 200, 8)) for n in "qkv"}
    job = {"queries": 200, "q_bits": 8, "k_bits": 8, "v_bits": 8}
    with transport(config) as port:
        result = run_workload(workload(arrays, job), config, "rtl", lambda _: port, cycle_limit=9_000_000)
    assert result.bit_exact, result.mismatches
    assert result.bytes["k_msb"] == 2 * row * sum(range(2, 201, 2))


def test_a_query_that_was_pruned_ends_the_job():
    """Layer 0 drops new tokens, layer 1 wants them as queries: nothing is computed; a restart goes on."""
    config = CONFIGS["quad"]
    numbers = np.random.default_rng(SEED)
    arrays = {n: numbers.normal(size=(2, 2, 6 if n == "q" else 20, 16)) for n in "qkv"}
    plan = Plan(workload(arrays, {"queries": 6, "keep_tokens": [8, None], "protect_last": 6}), config)
    first, second = plan.passes
    bad = [first.job.replace(queries=0, causal=0, protect_last=0, protect_first=8), second.job]
    plan.passes[:] = [type(p)(**{**vars(p), "job": job, "q": p.q[:, :job.query_rows]})
                      for p, job in zip(plan.passes, bad, strict=True)]
    with pytest.raises(CascadeError, match="query"):
        golden_results(plan, config)
    with transport(config) as port:
        driver = Driver(config, port)
        with pytest.raises(JobError) as error:
            list(driver.run_layers(plan, CYCLE_LIMIT))
        assert error.value.code == ErrorCode.BAD_STATE
        result = run_workload(workload(arrays, {"queries": 3}), config, "rtl", lambda _: port, cycle_limit=CYCLE_LIMIT)
        assert result.bit_exact, result.mismatches


def test_a_build_without_refuses_the_field():
    """The hardware sees bits without meaning; the host says which field it is."""
    arrays = {n: np.ones((1, 1, 2, 8)) for n in "qkv"}
    with pytest.raises(Exception, match="chunk_queries"):
        Plan(workload(arrays, {"queries": 2}), QUAD)

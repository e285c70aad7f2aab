"""Whole accelerator in simulation against the golden model: random multi-layer cascades, bit for bit."""

import os
import random

import numpy as np
import pytest

from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import run_workload

from .builds import BUILDS, LEAST, fitting, random_workload, transport
from .corners import CORNERS

SEED = int(os.environ.get("SEED", "1"))
#: Workloads per build; each is a few layers and some thousand cycles. Of builds that differ in a size or two: fewer.
RUNS, CORNER_RUNS = 30, 16
CYCLE_LIMIT = 400_000


@pytest.mark.parametrize("name", [*BUILDS, *CORNERS])
def test_random_cascades_equal_the_golden_model(name):
    """Outputs, survivors, scores, refetches, bytes by class; half of the runs with hostile memory."""
    config = (BUILDS | CORNERS)[name]
    stages = set()
    for run in range(RUNS if name in BUILDS else CORNER_RUNS):
        rng = random.Random(f"{SEED} {name} {run}")
        arrays, job = random_workload(rng, config)
        arrays, job = fitting(config, arrays, job)
        with transport(config, hostile=run % 2 == 1, seed=run + 1) as port:
            result = run_workload(make_workload(arrays, job), config, "rtl", lambda _, port=port: port,
                                  cycle_limit=CYCLE_LIMIT)
        assert result.bit_exact, f"SEED={SEED} run {run}: {job} {arrays['q'].shape}: {result.mismatches}"
        stages.add(job["stage"])
    assert stages == {"summarise", "generate"}


def test_a_context_of_8192_tokens():
    """Generation over the longest context of a build whose SRAM holds 16 tokens: nothing of the cache is stored."""
    tokens = LEAST.max_tokens
    numbers = np.random.default_rng(SEED)
    arrays = {n: numbers.normal(size=(2, 2, 1 if n == "q" else tokens, 8)) for n in "qkv"}
    job = {"stage": "generate", "q_bits": 8, "k_bits": [4, 4], "v_bits": [4, 4], "threshold": 0.01,
           "keep_tokens": [tokens, 1000], "keep_heads": [2, 1], "keep_values": [200, 300], "protect_last": 1}
    assert LEAST.sram_tokens == 16
    with transport(LEAST) as port:
        result = run_workload(make_workload(arrays, job), LEAST, "rtl", lambda _: port, cycle_limit=5_000_000)
    assert result.bit_exact, result.mismatches

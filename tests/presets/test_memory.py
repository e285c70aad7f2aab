"""Random cascades on presets, on memories that delay, stall and reorder, and on a model of HBM2."""

import random

import pytest

from spatten_hw.sim.dram.timing import HBM2

from ..integration.builds import random_workload
from .workloads import SEED, check

#: Workloads per preset and memory.
RUNS = 6
#: The largest of them.
TOKENS, HEADS = 24, 4


@pytest.mark.parametrize("memory", ["quiet", "hostile", "hbm2"])
def test_random_cascades(config, memory):
    """Outputs, survivors, scores, refetches, bytes by class."""
    stages = set()
    for run in range(RUNS):
        rng = random.Random(f"{SEED} {config.name} {memory} {run}")
        arrays, job = random_workload(rng, config, most_tokens=TOKENS, most_heads=HEADS,
                                      stage="generate" if run % 2 else "summarise")
        check(config, arrays, hostile=memory == "hostile", seed=run + 1, memory=HBM2 if memory == "hbm2" else None,
              **job)
        stages.add(job["stage"])
    assert stages == {"summarise", "generate"}

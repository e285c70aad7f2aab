"""Small workloads for presets: the sizes stay, what is asked of them does not.

A simulation of `full` takes minutes to compile and runs slowly, as little optimised as it is here. So each workload is
a few layers of a few heads over a dozen tokens, and takes a few thousand cycles.
"""

from __future__ import annotations

import os

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import RunResult, run_workload

from ..integration import builds

SEED = int(os.environ.get("SEED", "1"))
CYCLE_LIMIT = 200_000


def transport(c: SpAttenConfig, **options):
    """A fresh simulation, compiled as tests/conftest.py says."""
    return builds.transport(c, **options)


def operands(c: SpAttenConfig, seed: int, *, layers: int = 2, heads: int = 2, group: int = 1, tokens: int = 12,
             queries: int | None = None, dim: int | None = None, spread: float = 1.0) -> dict[str, np.ndarray]:
    """Random Q, K and V; `queries`: steps of generation, None: a prompt. `spread`: of the scores, small is flat."""
    numbers = np.random.default_rng([SEED, seed])
    dim = dim or c.dims[0]
    rows = tokens if queries is None else queries
    return {"q": numbers.normal(size=(layers, heads * group, rows, dim)) * spread,
            "k": numbers.normal(size=(layers, heads, tokens, dim)),
            "v": numbers.normal(size=(layers, heads, tokens, dim))}


def check(c: SpAttenConfig, arrays: dict[str, np.ndarray], *, hostile: bool = False, seed: int = 1, memory=None,
          **job) -> RunResult:
    """Runs a job that prunes nothing, unless it says so, on hardware and golden model; both must be equal, bit for
    bit. `keep_values`: a number stands for all layers."""
    if isinstance(job.get("keep_values"), int):
        job["keep_values"] = [job["keep_values"]] * len(arrays["q"])
    steps, tokens = arrays["q"].shape[2], arrays["k"].shape[2]
    defaults = {"stage": "generate" if steps < tokens else "summarise", "q_bits": 12, "k_bits": [8, 0],
                "v_bits": [8, 0]}
    with transport(c, hostile=hostile, seed=seed, memory=memory) as port:
        result = run_workload(make_workload(arrays, defaults | job), c, "rtl", lambda _: port,
                              cycle_limit=CYCLE_LIMIT)
    assert result.bit_exact, f"SEED={SEED} {job} {arrays['q'].shape}: {result.mismatches}"
    assert result.cycles and result.outputs.layers
    return result

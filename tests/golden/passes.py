"""Seeded arrays and a build for the golden accelerator's tests."""

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.golden.integer_engine import run_golden

#: Wide enough for 12+4, otherwise small: four slices on two channels.
WIDE = SpAttenConfig(multipliers=32, chunk=8, max_dim=32, operand_bits=16, max_tokens=64, sram_tokens=64,
                     max_heads=8, max_group=4, slots=4, topk_lanes=4, channels=2, axi_data_bits=64, reads=8,
                     pool_beats=32)


def arrays(seed, layers=2, heads=4, kv=2, queries=12, tokens=12, dim=16, spread=1.0):
    rng = np.random.default_rng(seed)
    return {"q": rng.standard_normal((layers, heads, queries, dim)) * spread,
            "k": rng.standard_normal((layers, kv, tokens, dim)),
            "v": rng.standard_normal((layers, kv, tokens, dim))}


def golden(a, job, config=WIDE):
    w = make_workload(a, job)
    plan = Plan(w, config)
    return w, plan, run_golden(plan)

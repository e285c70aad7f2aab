"""Random back-pressure over numbers of channels, data widths and ids: random cascades equal the golden model.

`PORTS` pairs every number of channels, width and number of ids with each other: 20 builds, of which the suite has
the two of `USUAL`, and `make deep` all. (`tests/integration` runs the like for 2 × 64 bits with 16 ids, 1 × 32, 8 × 32
and 1 × 512 with 2, 4 × 256 with 16.)
"""

import os
import random
from itertools import product

import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import run_workload
from spatten_hw.sim.soak.memory import random_options

from ..integration.builds import QUAD, random_workload, transport

SEED = int(os.environ.get("SEED", "1"))
RUNS = 8
CYCLE_LIMIT = 400_000

CHANNELS, WIDTHS, IDS = (1, 2, 4, 16), (32, 64, 128, 256, 512), (2, 8, 64)
PORTS = [(c, w, IDS[(i + j) % len(IDS)]) for i, c in enumerate(CHANNELS) for j, w in enumerate(WIDTHS)]
USUAL = ((1, 256, 2), (4, 32, 64))


def build(channels: int, width: int, ids: int) -> SpAttenConfig:
    """The least accelerator behind such ports; two slices on each if they are few, chunks of four if they are many."""
    few = channels <= 2
    chunk = 8 if channels <= 4 else 4
    slices = channels * (2 if few else 1)
    return QUAD.replace(
        name=f"{channels}x{width}-{ids}", multipliers=chunk * slices, chunk=chunk, max_dim=chunk * (2 if few else 1),
        max_tokens=32, sram_tokens=16, max_heads=3, max_group=2, slots=2, topk_lanes=slices, channels=channels,
        axi_data_bits=width, reads=ids, pool_beats=max(4, 1024 // width))


@pytest.mark.parametrize("ports", [
    pytest.param(p, id=f"{p[0]}x{p[1]}-{p[2]}ids", marks=[] if p in USUAL else pytest.mark.nightly) for p in PORTS])
def test_random_back_pressure(ports):
    config = build(*ports)
    seen = set()
    for run in range(RUNS):
        rng = random.Random(f"{SEED} {ports} {run}")
        arrays, job = random_workload(rng, config, stage="generate" if run % 2 else "summarise")
        options = random_options(rng) | {"seed": rng.randrange(1 << 16), "fill": rng.randrange(256)}
        with transport(config, **options) as port:
            if rng.random() < 0.3:
                port.trouble(rng.randrange(config.channels), extra=rng.randrange(300))
            elif rng.random() < 0.3:
                port.trouble(newest=rng.randrange(5, 40))
            result = run_workload(make_workload(arrays, job), config, "rtl", lambda _, port=port: port,
                                  cycle_limit=CYCLE_LIMIT)
        assert result.bit_exact, f"SEED={SEED} run {run}: {options} {job} {arrays['q'].shape}: {result.mismatches}"
        seen.add(job["stage"])
    assert seen == {"summarise", "generate"}


def test_ports_are_pairwise():
    for a, b in ((0, 1), (0, 2), (1, 2)):
        values = (CHANNELS, WIDTHS, IDS)
        assert {(p[a], p[b]) for p in PORTS} == set(product(values[a], values[b]))
    assert set(USUAL) <= set(PORTS)

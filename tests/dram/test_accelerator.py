"""Whole jobs with DRAM behind the ports: the same results as with ideal memories, and counts that agree."""

import random
from contextlib import nullcontext

import pytest

from spatten_hw.host.workload import make_workload
from spatten_hw.sim.dram.stats import total
from spatten_hw.sim.dram.timing import DDR3_1600, DDR4_2400, HBM2
from spatten_hw.sim.engine import run_workload

from ..integration.builds import QUAD, WIDE, random_workload, transport

BUILDS = {c.name: c for c in (QUAD, WIDE)}
MEMORIES = {t.name: t for t in (HBM2, DDR4_2400, DDR3_1600)}


@pytest.mark.parametrize("hostile", [False, True])
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("name", BUILDS)
def test_results_do_not_depend_on_memory(name, memory, hostile):
    config, timing = BUILDS[name], MEMORIES[memory]
    rng = random.Random(f"{name} {memory} {hostile}")
    arrays, job = random_workload(rng, config)
    with transport(config, hostile=hostile, memory=timing) as port:
        result = run_workload(make_workload(arrays, job), config, "rtl", lambda _: nullcontext(port))
        assert result.bit_exact, result.mismatches
        traffic, stats = port.traffic(), total(port.dram_stats())
        assert (stats.bytes_read, stats.bytes_written) == (traffic.bytes_read, traffic.bytes_written)
        assert stats.answered == traffic.read_bursts > 0
        assert stats.row_hits + stats.row_closed + stats.row_conflicts == stats.reads + stats.writes

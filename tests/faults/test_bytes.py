"""Bytes by class: what the memories carried in each one's planes, the hardware's counters, the golden model: equal."""

import os
import random

import pytest

from spatten_hw.host.driver import Driver
from spatten_hw.host.job import descriptor_bytes
from spatten_hw.host.plan import Plan
from spatten_hw.host.results import BYTE_CLASSES
from spatten_hw.host.rows import row_bytes
from spatten_hw.host.words import WORD_BYTES, survivor_words
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.engine import compare_counters
from spatten_hw.sim.golden.integer_engine import golden_results

from ..integration.builds import BUILDS, random_workload, transport
from .jobs import operand_places

SEED = int(os.environ.get("SEED", "1"))
RUNS = 10
LIMIT = 400_000


def places(plan):
    """Ranges of everything that the jobs of `plan` may touch; words lie on channel 0."""
    other = set()
    for p in plan.passes:
        other.add((0, p.descriptor, p.descriptor + descriptor_bytes(p.job.query_heads)))
        other.add((0, p.job.ids_out, p.job.ids_out + WORD_BYTES * survivor_words(p.job.tokens, p.job.heads)))
    scores = plan.scores_address
    other.add((0, scores, scores + WORD_BYTES * (plan.workload.shape.tokens + plan.workload.shape.kv_heads)))
    return operand_places(plan) | {"other": sorted(other)}


@pytest.mark.parametrize("name", BUILDS)
def test_counters_equal_what_the_memories_carried(name):
    config = BUILDS[name]
    seen = dict.fromkeys(BYTE_CLASSES, 0)
    uneven = 0
    for run in range(RUNS):
        rng = random.Random(f"{SEED} bytes {name} {run}")
        arrays, job = random_workload(rng, config)
        if run % 2:     # rows of 6 bits, in most builds no whole number of beats
            progressive = config.operand_bits >= 10
            bits = [6, 4] if progressive else [6, 0]
            job |= {"q_bits": 6, "k_bits": bits, "v_bits": bits, "threshold": 0.5 if progressive else 0.0}
        plan = Plan(make_workload(arrays, job), config)
        golden = golden_results(plan, config)
        with transport(config, hostile=run % 3 == 0, seed=run + 1) as port:
            port.set_classes(places(plan))
            driver = Driver(config, port)
            for _ in driver.run_layers(plan, LIMIT):
                pass
            counters = driver.counters()
            moved = port.class_bytes()
        where = f"SEED={SEED} run {run}: {job}"
        assert moved.pop("") == (0, 0), f"{where}: bytes outside all classes"
        assert {n: sum(m) for n, m in moved.items()} == counters.bytes, where
        assert not compare_counters(counters, golden), where
        assert all(not w for n, (_, w) in moved.items() if n not in ("out", "other")), f"{where}: an operand is written"
        assert not moved["out"][0], f"{where}: outputs are read"
        for n, m in moved.items():
            seen[n] += sum(m)
        job_ = plan.passes[0].job
        uneven += row_bytes(job_.dim, job_.k_msb) % config.beat_bytes != 0
    assert all(seen.values()), f"a class was never used: {seen}"
    assert uneven, "every row filled its beats"


def test_classes_must_not_share_a_beat():
    config = BUILDS["quad"]
    with transport(config) as port:
        port.set_classes({"a": [(0, 0, 8)], "b": [(0, 8, 9), (1, 0, 8)]})
        with pytest.raises(ValueError, match="'a' and 'b' share a beat of channel 0"):
            port.set_classes({"a": [(0, 0, 9)], "b": [(0, 12, 20)]})

"""Prob×V over all slices: exact sums, requests, order of outputs, under stalls and with rows in any order."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.sim.harness.block import Block
from tests.seeds import numbers

from .value_bench import CONFIGS, ProbValue, check, prepare, send_kept, send_rows, some_vectors


@cache
def block_of(name: str) -> Block:
    return Block(ProbValue, CONFIGS[name])


#: Where the rings of items and sums of each block are.
ENDS: dict[str, tuple[int, int]] = {}


def a_job(rng: np.random.Generator, name: str, stream: bool, chunks: int, count: int, **more):
    c = CONFIGS[name]
    has_lsb = more.pop("has_lsb", bool(rng.integers(2)))
    most = c.max_rows if stream else min(c.max_rows, c.sram_words // chunks)
    sizes = more.pop("sizes", None) or [int(rng.choice([1, min(3, c.max_group), c.max_group])) for _ in range(count)]
    rows = more.pop("rows", None) or [int(rng.choice([1, 2, most, rng.integers(1, most + 1)])) for _ in range(count)]
    first, total = ENDS.get(name, (0, 0))
    job = some_vectors(rng, c, stream, sizes, rows, chunks, has_lsb, more.pop("keep", float(rng.choice([0.1, 0.5, 1]))),
                       first, total)
    ENDS[name] = job.end
    return job


def run(block: Block, rng: np.random.Generator, job, stalls: tuple[float, float, float], window: int = 6) -> None:
    into, out, rows = stalls
    c = job.c
    prepare(block, job)
    block.receive("o", stall=out, seed=int(rng.integers(1, 1000)))
    for s in range(c.slices):
        block.receive(f"reads__{s}", stall=rows, seed=int(rng.integers(1, 1000)))
    if job.stream:
        send_rows(block, job, rng, rows, window)
    send_kept(block, job, into, int(rng.integers(1, 1000)))
    items = sum(g.members for g in job.gangs)
    work = sum(g.rows * g.members for g in job.gangs) * job.chunks
    block.run(20 * work + 200 * items + 1000, o=items * job.chunks)
    block.idle(10)
    check(block, job)
    assert block.get("busy") == 0


CASES = [(name, chunks) for name, c in CONFIGS.items() for chunks in range(1, c.max_chunks + 1)]


@pytest.mark.parametrize("name,chunks", CASES)
@pytest.mark.parametrize("stream", [True, False])
def test_exact_under_stalls(name, chunks, stream):
    rng, block = numbers("prob_value", name, chunks, stream), block_of(name)
    for stalls in ((0.0, 0.0, 0.0), (0.4, 0.0, 0.3), (0.0, 0.8, 0.0), (0.1, 0.3, 0.6)):
        for has_lsb in (False, True):
            run(block, rng, a_job(rng, name, stream, chunks, 12, has_lsb=has_lsb), stalls)

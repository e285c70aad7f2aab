"""Prob×V over all slices: exact sums, requests, order of outputs, under stalls and with rows in any order."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.matmul.gang import GangGather, gather_latency
from spatten_hw.matmul.output_tree import OutputTree, chunk_period
from spatten_hw.matmul.prob_value import prob_value_latency
from spatten_hw.matmul.value import ValueSlice, request_latency
from spatten_hw.sim.harness.block import Block
from spatten_hw.verilog import to_rtlil
from tests.seeds import numbers

from .value_bench import ProbValue, check, prepare, send_kept, send_rows
from .value_jobs import CONFIGS, some_vectors


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


@pytest.mark.parametrize("name,chunks", [("one", 1), ("many", 2), ("many", 3), ("two", 2), ("two", 3), ("four", 4)])
def test_latency_of_a_short_prompt(name, chunks):
    """One row, every slice has its key: stated latency to the first chunk; the others follow at the stated rate."""
    rng, block = numbers("prob_value latency", name, chunks), block_of(name)
    for _ in range(3):
        job = a_job(rng, name, False, chunks, 1, sizes=[1], rows=[1], keep=1.0)
        run(block, rng, job, (0, 0, 0))
        out = block.taken("o").cycles
        assert out[0] - block.taken("kept").cycles[-1] == prob_value_latency(CONFIGS[name], chunks)
        assert (np.diff(out) == chunk_period(CONFIGS[name], chunks)).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_latency_of_a_request(name):
    rng, block, c = numbers("prob_value request", name), block_of(name), CONFIGS[name]
    run(block, rng, a_job(rng, name, True, c.max_chunks, 1, sizes=[1], rows=[1], keep=1.0), (0, 0, 0))
    for s in range(c.slices):
        assert (block.taken(f"reads__{s}").cycles[0] - block.taken("kept").cycles[-1]
                == gather_latency(c) + request_latency())


@pytest.mark.parametrize("name,chunks", CASES)
def test_one_product_per_cycle(name, chunks):
    """Prompts whose keys are all kept: outputs follow each other as fast as the multipliers of a slice allow. Rows
    from memory: a chunk in every cycle."""
    rng, block, c = numbers("prob_value rate", name, chunks), block_of(name), CONFIGS[name]
    rows = min(c.max_rows, c.sram_words // chunks)
    # With two sums the next vector waits until one is drained: short vectors do not fill that time.
    if c.sums > 2 or rows * chunks > 30:
        run(block, rng, a_job(rng, name, False, chunks, 12, sizes=[1] * 12, rows=[rows] * 12, keep=1.0), (0, 0, 0))
        first = block.taken("o").cycles[::chunks]
        # Items come again when they are free: only as many as there are follow without a gap. Local sums are read in
        # place of a product.
        assert np.median(np.diff(first)) == (rows + c.local_sums) * chunks
    if chunks > 1 and c.sums > 2:
        run(block, rng, a_job(rng, name, True, chunks, 4, sizes=[1] * 4, rows=[c.max_rows] * 4, keep=1.0,
                              has_lsb=False), (0, 0, 0), window=0)
        for s in range(c.slices):
            assert block.taken(f"v_chunks__{s}").bubbles == 0


def test_prompts_wait_for_their_half():
    rng, name = numbers("prob_value half"), "two"
    block, c = block_of(name), CONFIGS[name]
    job = a_job(rng, name, False, 3, 1, sizes=[1], rows=[2], keep=1.0)
    prepare(block, job)
    block.set(half_filled=3 ^ (1 << job.gangs[0].half))
    block.receive("o")
    send_kept(block, job, 0, 1)
    block.idle(200)
    assert block.taken("o").fired == 0 and block.get("busy") == 1
    block.set(half_filled=1 << job.gangs[0].half)
    block.run(200, o=3)
    assert np.array_equal(block.taken("o").columns()["acc"].reshape(1, -1), job.expected())
    block.idle(10)
    assert block.get("busy") == 0 and c.slices == 2


@pytest.mark.parametrize("name", ["one", "two"])
def test_stall_while_rows_are_missing(name):
    """`stall` counts the cycles in which a slice has asked for rows and multiplies nothing."""
    rng, block, c = numbers("prob_value stall", name), block_of(name), CONFIGS[name]
    job = a_job(rng, name, True, 1, 1, sizes=[1], rows=[1], keep=1.0, has_lsb=False)
    prepare(block, job)
    block.receive("o")
    for s in range(c.slices):
        block.receive(f"reads__{s}")
    send_kept(block, job, 0, 1)
    block.high("stall")
    block.run(100, **{f"reads__{c.slices - 1}": 1})
    block.idle(50)
    waited = block.high("stall")
    assert 50 <= waited <= 51 + request_latency()
    send_rows(block, job, rng, 0, 0)
    block.run(100, o=1)
    assert block.high("stall") <= 2
    check(block, job)


#: The narrowest operands and one of everything; the widest of all; fewer heads than classes, five chunks.
EXTREMES = [
    CONFIGS["one"].replace(operand_bits=4, max_tokens=8, sram_tokens=1, slots=2, max_group=1),
    CONFIGS["one"].replace(multipliers=256, chunk=64, max_dim=192, operand_bits=16, max_tokens=128, sram_tokens=64,
                           slots=64, max_group=32, topk_lanes=4, axi_data_bits=512, max_heads=128),
    CONFIGS["one"].replace(multipliers=32, max_dim=20, operand_bits=6, max_tokens=8, sram_tokens=8, slots=2,
                           max_group=2, topk_lanes=8, channels=8, max_heads=2),
]


@pytest.mark.parametrize("config", EXTREMES)
def test_elaborates_at_the_ends_of_the_configuration(config):
    for part in (GangGather, ValueSlice, OutputTree):
        to_rtlil(part(config), "part", contracts=True)

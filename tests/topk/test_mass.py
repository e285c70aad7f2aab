"""MassThreshold: as few of the largest probabilities as reach the share of their sum; rate and latency."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.golden.mass import mass_counts
from spatten_hw.sim.golden.topk import topk_mask
from spatten_hw.sim.harness.block import Block
from spatten_hw.topk.mass import QUEUE, SPARE, MassThreshold
from tests.seeds import numbers

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=12, max_tokens=64, sram_tokens=16, topk_lanes=8, channels=2,
                     axi_data_bits=64, max_heads=4, max_group=2, slots=2, operand_bits=8)
BUILDS = {"four slices": TINY, "one slice": TINY.replace(multipliers=4, channels=1, max_tokens=128)}


@cache
def block_of(name: str) -> Block:
    return Block(MassThreshold, BUILDS[name])


def probabilities(rng: np.random.Generator, n: int) -> np.ndarray:
    """What a softmax may give n keys: sums to about 4096; peaked or flat, with ties, many zeros."""
    kind = rng.integers(6)
    if kind == 0:
        p = np.zeros(n, dtype=np.int64)
        p[rng.integers(n)] = rng.choice([0, 1, 4095])
        return p
    if kind == 1:
        return np.full(n, rng.integers(0, 1 + min(4095, 4096 // n)))
    if kind == 2:
        return rng.integers(0, 1 + min(4095, 4096 // n), n)
    scores = rng.normal(size=n) * rng.choice([0.3, 2, 6])
    real = np.exp(scores - scores.max())
    p = np.minimum(4095, np.rint(4096 * real / real.sum())).astype(np.int64)
    return p if kind < 5 else p // 7 * 7


def as_rows(c: SpAttenConfig, vectors: list[np.ndarray]) -> dict:
    rows = [np.concatenate([p, np.zeros(-len(p) % c.slices, dtype=np.int64)]).reshape(-1, c.slices) for p in vectors]
    ends = np.cumsum([len(r) for r in rows])
    last = np.zeros(ends[-1], dtype=int)
    last[ends - 1] = 1
    return {"probs": np.concatenate(rows), "last": last}


def run(name: str, vectors: list[np.ndarray], share: int, feed: float = 0.0, take: float = 0.0, seed: int = 1) -> Block:
    block = block_of(name)
    c = block.component.config
    block.set(share=share)
    block.receive("o", stall=take, seed=seed)
    rows = as_rows(c, vectors)
    block.send("i", rows, stall=feed, seed=seed + 1)
    work = sum(block.component.cycles(-(-len(p) // c.slices)) for p in vectors) + 4 * c.max_rows + 200
    block.run(int(work * 1.2 / (1 - feed) / (1 - take)), o=len(vectors))
    got = block.taken("o").columns()
    for p, t, equal in zip(vectors, got["threshold"], got["keep_equal"], strict=True):
        kept = (p > t) | ((p == t) & (np.cumsum(p == t) <= equal))
        assert np.array_equal(kept, topk_mask(p, mass_counts(p, share))), (share, p, t, equal)
    return block


@pytest.mark.parametrize("name", BUILDS)
def test_equals_golden(name):
    rng, c = numbers("mass", name), BUILDS[name]
    for turn in range(16):
        share = int(rng.choice([1, 2, 700, 2048, 3000, 3686, 4095, 4096, rng.integers(1, 4097)]))
        lengths = [1, c.max_tokens, c.max_tokens, *[1] * 4, *rng.integers(1, c.max_tokens + 1, 30).tolist()]
        vectors = [probabilities(rng, n) for n in lengths]
        run(name, vectors, share, *((0.0, 0.0), (0.4, 0.3), (0.0, 0.9), (0.8, 0.0))[turn % 4],
            seed=int(rng.integers(1, 1000)))


@pytest.mark.parametrize("name", BUILDS)
def test_rate_and_latency(name):
    rng, c = numbers("mass rate", name), BUILDS[name]
    for n in (1, c.max_tokens // 2, c.max_tokens):
        rows = -(-n // c.slices)
        block = run(name, [probabilities(rng, n)], 3000)
        assert block.taken("o").cycles[0] - block.taken("i").cycles[0] == block.component.latency(rows)
        block = run(name, [probabilities(rng, n) for _ in range(12)], 3000)
        cycles = block.taken("i").cycles
        assert np.all(np.diff(cycles[::rows]) == block.component.cycles(rows))


@pytest.mark.parametrize("name", BUILDS)
def test_rows_that_wait(name):
    """With next to nothing taken from it: vectors at the divider, and rows in front of the two later stages, in queues
    that are filled but for one place."""
    block, c = block_of(name), BUILDS[name]
    block.reset()
    block.set(share=4096)
    block.receive("o", stall=0.999)
    block.send("i", as_rows(c, [np.ones(c.max_tokens, dtype=np.int64)] * 100))
    inside = []
    for _ in range(40):
        block.idle(100)
        inside.append(block.taken("i").fired - c.max_rows * block.taken("o").fired)
    block.reset()
    assert max(inside) == (QUEUE + 1) * c.max_rows + 2 * (c.max_rows + SPARE - 1)

"""Reciprocal and sum of exponentials on their own, up to the longest vectors."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.golden.numerics import round_shift
from spatten_hw.sim.golden.reciprocal import reciprocal
from spatten_hw.sim.harness.block import Block, RuleError
from spatten_hw.softmax.exponent import Exponent
from spatten_hw.softmax.formats import sum_fraction
from spatten_hw.softmax.reciprocal import Reciprocal
from spatten_hw.softmax.sum import ExpSum
from tests.seeds import numbers

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=4, max_tokens=8, sram_tokens=8, max_heads=8, max_group=4,
                     slots=4, channels=1)
CONFIGS = {"shortest": TINY, "longest": TINY.replace(max_tokens=65536, multipliers=32, channels=2)}


@cache
def block_of(kind: type, name: str) -> Block:
    return Block(kind, CONFIGS[name])


@pytest.mark.parametrize("name", CONFIGS)
def test_reciprocal(name):
    """Random sums and every kind of edge, one per cycle, at the stated latency."""
    rng, block, c = numbers("reciprocal", name), block_of(Reciprocal, name), CONFIGS[name]
    e = sum_fraction(c.max_tokens)
    most = c.max_tokens << e
    totals = [1 << e, most, (1 << e) + 1, most - 1]
    for k in range(c.max_tokens.bit_length() - 1):
        base = 1 << (e + k)
        step = base >> 16
        # Just below the next power of two t rounds up to 2^17; between two t there are ties.
        totals += [2 * base - 1, 2 * base - step // 2, 2 * base - step // 2 - 1, base + step // 2]
        totals += (base + (rng.permutation(1 << 16)[:60] + rng.integers(0, 2, 60)) * step // 2).tolist()
        totals += rng.integers(base, 2 * base, 60, endpoint=True).tolist()
    block.receive("o")
    block.send("i", totals)
    block.run(len(totals) + 100, o=len(totals))
    out = block.taken("o")
    assert np.array_equal(out.cycles - Reciprocal.LATENCY, block.taken("i").cycles)
    r, k = reciprocal(np.array(totals), e)
    assert np.array_equal(out.columns()["r"], r) and np.array_equal(out.columns()["k"], k)


@pytest.mark.parametrize("name", CONFIGS)
def test_sum(name):
    """Vectors of mixed lengths without a gap; any lanes live, dead ones hold noise."""
    rng, block, c = numbers("sum", name), block_of(ExpSum, name), CONFIGS[name]
    e = sum_fraction(c.max_tokens)
    m, i, live, first, last, want, ends = [], [], [], [], [], [], []
    for _ in range(120):
        rows = int(rng.choice([1, min(c.max_rows, 70), rng.integers(1, min(c.max_rows, 20) + 1)]))
        ones = rng.random() < 0.2
        here = rng.random((rows, c.slices)) < rng.choice([0.3, 1.0])
        here[np.arange(rows), rng.integers(0, c.slices, rows)] = True
        mantissas = np.full(here.shape, 1 << 16) if ones else rng.integers((1 << 15) + 1, (1 << 16) + 1, here.shape)
        shifts = np.zeros(here.shape, dtype=int) if ones else rng.integers(0, 32, here.shape)
        # A sum has at least the term of the largest key.
        at = np.argwhere(here)[0]
        mantissas[tuple(at)], shifts[tuple(at)] = 1 << 16, 0
        want.append(int(round_shift(mantissas << (e - 16), shifts)[here].sum()))
        m.append(mantissas)
        i.append(shifts)
        live.append(here)
        first += [1] + [0] * (rows - 1)
        last += [0] * (rows - 1) + [1]
        ends.append(len(last) - 1)
    mask = np.concatenate(live) @ (1 << np.arange(c.slices))
    block.receive("o")
    block.send("i", {"m": np.concatenate(m), "i": np.concatenate(i),
                     "info": {"live": mask, "first": np.array(first), "last": np.array(last)}})
    block.run(len(last) + 100, o=len(want))
    out, came = block.taken("o"), block.taken("i")
    assert out.integers() == want
    assert came.bubbles == 0
    assert np.array_equal(out.cycles, came.cycles[ends] + block.component.latency)


def test_no_live_score_is_above_the_maximum():
    """What comes in the place of a key that is not there may be; that of a live one stops the simulation."""
    block, c = block_of(Exponent, "shortest"), TINY
    scores = np.full((c.slices, c.slices), -3) + 8 * np.eye(c.slices, dtype=int)
    everywhere = (1 << c.slices) - 1

    def send(live: np.ndarray) -> None:
        rows = len(live)
        ones = np.ones(rows, dtype=int)
        block.send("i", {"scores": scores[:rows], "info": {"live": live, "first": ones, "last": ones},
                         "scaling": {"top": 4 * ones, "mant": ones, "pre": 0 * ones, "post": 0 * ones}})
        block.idle(rows + Exponent.LATENCY + 2)

    block.receive("o")
    send(everywhere & ~(1 << np.arange(c.slices)))
    assert block.taken("o").fired == c.slices
    with pytest.raises(RuleError, match="no live score is above"):
        send(np.array([everywhere]))
    block.reset()

"""Both engines: exactly the golden selection from dense and ragged rows under stalls; their stated rates without."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from spatten_hw.config import ConfigError, SpAttenConfig
from spatten_hw.engines import topk_engine
from spatten_hw.sim.harness.block import Block
from spatten_hw.topk.linerate import LineRate, plan
from spatten_hw.topk.quickselect import QuickSelect
from tests.seeds import numbers

from .rows import Vector, dense, ragged, run, shapes_of_keys

#: key bits, lanes, max_n, max_rows.
SIZES = [(12, 4, 40, 13), (5, 1, 9, 12), (46, 4, 33, None), (4, 3, 20, 7), (12, 8, 8, 1)]
BUILDS = [("quickselect", *sizes) for sizes in SIZES] + [("quickselect,waiting=1", 34, 2, 17, 12)] + [
    ("linerate", *sizes) for sizes in SIZES] + [
    ("linerate,wide=1", 12, 2, 37, 40), ("linerate,digit_bits=2,digit_stages=3,wide=2", 8, 4, 128, 32)]


@cache
def block_of(name: str, *sizes: int) -> Block:
    return Block(topk_engine, name, *sizes)


def some_k(rng: np.random.Generator, n: int, most: int) -> int:
    return int(rng.choice([1, n, min(n + 3, most), max(1, n // 2), rng.integers(1, n + 1)]))


@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_selection(build):
    """Every kind of keys in vectors of every length, dense and ragged, under stalls."""
    rng, block = numbers("engines", build), block_of(*build)
    e = block.component
    top = e.max_n
    most = (1 << e.count_bits) - 1
    sizes = {1, 2, e.lanes - 1, e.lanes, e.lanes + 1, 3 * e.lanes + 2, top - 1, top}
    vectors = []
    for n in sorted(s for s in sizes if 1 <= s <= top):
        for keys in shapes_of_keys(rng, n, e.key_bits):
            live = dense(n, e.lanes) if rng.random() < 0.3 else ragged(rng, n, e.lanes, e.max_rows)
            vectors.append(Vector(keys, some_k(rng, n, most), live))
    rng.shuffle(vectors)
    run(block, rng, vectors)
    run(block, rng, vectors, 0.3, 0.3)
    run(block, rng, vectors[:30], 0.0, 0.9)
    run(block, rng, vectors[:20], 0.8, 0.0)
    n = min(top, 2 * e.lanes + 1)
    keys = rng.integers(0, min(8, 1 << e.key_bits), n).astype(np.uint64)
    run(block, rng, [Vector(keys, k, ragged(rng, n, e.lanes, e.max_rows)) for k in range(1, n + 1)])


@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_stated_cycles(build):
    """No vector takes more cycles than stated, whatever its keys."""
    rng, block = numbers("cycles", build), block_of(*build)
    e, n = block.component, block.component.max_n
    for live in (dense(n, e.lanes), ragged(rng, n, e.lanes, e.max_rows)):
        vectors = [Vector(keys, k, live) for keys in shapes_of_keys(rng, n, e.key_bits)
                   for k in (1, max(1, n // 2), max(1, n - 1))]
        # Keys 2^b: every middle of the range throws away half of the range and next to none of the keys.
        steep = np.uint64(1) << (np.arange(n) % e.key_bits).astype(np.uint64)
        vectors += [Vector(steep, max(1, n - 1), live), Vector(np.sort(steep), max(1, n // 2), live)]
        _, ends = run(block, rng, vectors)
        gaps = np.diff(ends)
        assert gaps.max() <= e.most_cycles(n, len(live))
        if e.cycles(n, len(live)) is not None:
            assert set(gaps.tolist()) == {e.cycles(n, len(live))}


def one_pass(name: str, *sizes: int) -> bool:
    """Every stage looks at a vector once: with more passes a full rate is not promised (`test_stated_cycles`)."""
    engine = topk_engine(name, *sizes)
    return not isinstance(engine, LineRate) or max(engine.passes) == 1


@pytest.mark.parametrize("build", [b for b in BUILDS if b[0] != "quickselect,waiting=1" and b[1] <= 12
                                   and one_pass(*b)], ids=str)
def test_keeping_all_runs_at_full_rate(build):
    """k ≥ n: one row per cycle in, over many vectors, even of one row."""
    rng, block = numbers("all", build), block_of(*build)
    e = block.component
    sizes = [min(e.max_n, s) for s in (1, 2 * e.lanes, e.max_n, 1, 1, 1, e.lanes)] * 6
    came, _ = run(block, rng, [Vector(shapes_of_keys(rng, n, e.key_bits)[0], n, dense(n, e.lanes)) for n in sizes])
    assert came[-1] - came[0] == len(came) - 1


def test_keeping_all_with_one_waiting():
    """Vectors of one row in at most four cycles each."""
    rng, block = numbers("one waiting"), block_of(*BUILDS[len(SIZES)])
    came, _ = run(block, rng, [Vector(np.array([5], dtype=np.uint64), 1, dense(1, 2))] * 30)
    assert came[-1] - came[0] <= 4 * 29


@pytest.mark.parametrize("build", [b for b in BUILDS if b[0].startswith("linerate")], ids=str)
def test_line_rate(build):
    """One row per cycle in any mix of lengths, and the stated latency from an empty engine."""
    rng, block = numbers("line rate", build), block_of(*build)
    e = block.component
    top, longest = e.max_n, e.max_rows
    if max(e.passes) == 1:
        mixed = [int(rng.choice([1, rng.integers(1, top + 1), top])) for _ in range(60)]
        piled = [top, *[1] * longest, top, top, *[1] * (2 * longest), *[top] * 4, *[min(e.lanes, top)] * longest, top]
        for sizes in (mixed, piled):
            for shape in (dense, lambda n, lanes: ragged(rng, n, lanes, longest)):
                vectors = [Vector(shapes_of_keys(rng, n, e.key_bits)[0], int(rng.integers(1, n + 1)),
                                  shape(n, e.lanes)) for n in sizes]
                came, _ = run(block, rng, vectors)
                assert came[-1] - came[0] == len(came) - 1
    for n in sorted({1, min(e.lanes + 1, top), top // 2, top}):
        for live in (dense(n, e.lanes), ragged(rng, n, e.lanes, longest)):
            came, ends = run(block, rng, [Vector(shapes_of_keys(rng, n, e.key_bits)[0], max(1, n // 2), live)])
            assert ends[0] - came[0] == e.latency(n, len(live))
            block.idle(int(rng.integers(0, 4)))


def test_line_rate_of_the_papers_size():
    """1,024 keys, 16 per cycle: 64 cycles per vector, and three stages behind the last row."""
    e = topk_engine("linerate", 12, 16, 1024)
    assert isinstance(e, LineRate)
    assert e.cycles(1024) == 64
    assert [e.latency(n) for n in (102, 1000, 1024)] == [6 + 2 * 2 + 9, 62 + 2 * 16 + 9, 104]
    rng, block = numbers("papers"), block_of("linerate", 12, 16, 1024)
    vectors = [Vector(shapes_of_keys(rng, n, 12)[7], k, dense(n, 16))
               for n, k in ((1024, 512), (307, 92), (204, 41), (102, 20), (16, 4)) for _ in range(6)]
    came, _ = run(block, rng, vectors)
    assert came[-1] - came[0] == len(came) - 1


@pytest.mark.parametrize("n,k,most", [(1024, 512, 200), (307, 92, 95), (204, 41, 75), (102, 20, 60)])
def test_rate_of_the_papers_engine(n, k, most):
    """Back-to-back random vectors: cycles per vector stay below what the configuration is meant for."""
    rng, block = numbers("quick", n), block_of("quickselect", 12, 16, 1024)
    vectors = [Vector(shapes_of_keys(rng, n, 12)[0], k, dense(n, 16)) for _ in range(40)]
    _, ends = run(block, rng, vectors)
    cycles = (ends[-1] - ends[3]) / (len(ends) - 4)
    print(f"n={n} k={k}: {cycles:.1f} cycles per vector")
    assert cycles <= most


def test_pivots_are_chosen_as_they_should_be():
    """Selection is right whatever the pivots are; only the time tells whether they are good ones."""
    rng, block = numbers("pivots"), block_of("quickselect", 10, 8, 128)
    vectors = [Vector(shapes_of_keys(rng, 100, 10)[0], k, dense(100, 8)) for k in (20, 50) for _ in range(60)]
    _, ends = run(block, rng, vectors)
    gaps = np.array([b - a for a, b in pairwise(ends)])
    print(gaps[:59].mean(), gaps[60:].mean())
    assert gaps[:59].mean() < 52 and gaps[60:].mean() < 58


class Middles(QuickSelect):
    """As after `random_passes` unlucky samples, which no test can wait for: every pivot is the middle of the range."""

    def __init__(self, *sizes: int):
        super().__init__(*sizes)
        self._selector.random_passes = 0


@pytest.mark.parametrize("key,lanes,max_n", [(6, 4, 24), (3, 2, 12)])
def test_middles_alone_find_every_key(key, lanes, max_n):
    rng, block = numbers("middles", key), Block(Middles, key, lanes, max_n)
    n, top = max_n, (1 << key) - 1
    vectors = [Vector(np.full(n, x, dtype=np.uint64), n // 2, dense(n, lanes)) for x in (0, 1, 2, top - 1, top)]
    vectors += [Vector(rng.choice(np.array([0, 1, top, int(rng.integers(0, top))], dtype=np.uint64), n),
                       int(rng.integers(1, n)), dense(n, lanes)) for _ in range(40)]
    _, ends = run(block, rng, vectors)
    assert np.diff(ends).max() <= block.component.most_cycles(n)


def test_digits():
    assert plan(12, 4, 3) == ([4, 4, 4], [1, 1, 1])
    assert plan(5, 4, 3) == ([3, 2], [1, 1])
    assert plan(1, 4, 1) == ([1], [1])
    assert plan(41, 4, 3) == ([4] * 8 + [3] * 3, [1, 5, 5])
    with pytest.raises(ValueError, match="at least 2"):
        plan(12, 4, 1)
    with pytest.raises(ValueError, match="digit_bits"):
        plan(12, 0, 3)
    with pytest.raises(ValueError, match="wide must be at least 1"):
        LineRate(12, 4, 40, wide=0)


def test_chosen_by_name():
    assert SpAttenConfig().engine.name == "quickselect"
    assert SpAttenConfig(topk="linerate").hash != SpAttenConfig().hash
    with pytest.raises(ConfigError, match=r"topk = 'bubblesort'.*'quickselect' or 'linerate'"):
        SpAttenConfig(topk="bubblesort")
    with pytest.raises(ValueError, match="quickselect"):
        topk_engine("bubblesort", 12, 4, 16)
    with pytest.raises(ValueError, match="at least 1"):
        topk_engine("linerate", 12, 4, 0)

"""Every fraction of 2^−y in every lane, and decisions around the threshold."""

import numpy as np
import pytest

from spatten_hw.sim.golden.decision import flat, largest
from spatten_hw.sim.golden.exp2 import exp2
from spatten_hw.sim.golden.reciprocal import reciprocal
from spatten_hw.sim.harness.block import Block
from spatten_hw.softmax.decision import Decision
from spatten_hw.softmax.exp2 import Exp2
from spatten_hw.softmax.formats import INTEGER_BITS, Y_FRACTION, sum_fraction
from tests.seeds import numbers

from .test_arithmetic import TINY

THRESHOLD = 1000


def test_every_fraction_in_every_lane():
    """A bit of the table changes few results: all 2^14 fractions are tried, each lane in another order."""
    rng = np.random.default_rng(1)
    size, lanes = 1 << Y_FRACTION, TINY.slices
    y = np.stack([rng.permutation(size) for _ in range(lanes)], axis=1)
    y += rng.integers(0, 1 << INTEGER_BITS, y.shape) << Y_FRACTION
    block = Block(Exp2, TINY)
    block.send("i", {"y": y, "info": {"live": (1 << lanes) - 1, "first": 1, "last": 1}})
    block.receive("o")
    block.run(size + 100, o=size)
    got = block.taken("o").columns()
    m, i = exp2(y)
    assert np.array_equal(got["m"], m) and np.array_equal(got["i"], i)


@pytest.mark.parametrize("stream", [0, 1])
def test_around_the_threshold(stream):
    """max(P) one below, at and above the threshold: flat below it alone; a slot is freed if no scores come again."""
    rng = numbers("threshold", stream)
    e = sum_fraction(TINY.max_tokens)
    totals = np.arange(1 << e, TINY.max_tokens << e, 61)
    r, k = reciprocal(totals, e)
    near = np.flatnonzero(np.abs(largest(r, k) - THRESHOLD) <= 1)
    near = rng.permutation(near)[:60]
    tops = largest(r[near], k[near])
    assert set((tops - THRESHOLD).tolist()) == {-1, 0, 1}
    want = flat(tops, THRESHOLD).astype(int)
    block = Block(Decision, TINY)
    block.set(threshold=THRESHOLD)
    count = len(near)
    tag = {"stream": np.full(count, stream), "query": np.arange(count) % TINY.max_tokens}
    slots = np.arange(count) % TINY.slots
    for name in ("header", "decided", "free"):
        block.receive(name)
    block.send("info", {"slot": slots, "may_refetch": np.ones(count, dtype=int), "tag": tag})
    block.send("inverse", {"r": r[near], "k": k[near]}, at=np.arange(count) + 10)
    block.run(500, header=count, decided=count)
    block.idle(5)
    assert block.taken("header").columns()["drop"].tolist() == want.tolist()
    decided = block.taken("decided").columns()
    assert decided["flat"].tolist() == want.tolist() and decided["slot"].tolist() == slots.tolist()
    assert decided["tag"]["query"].tolist() == tag["query"].tolist()
    freed = slots[want == 0] if stream else slots
    assert block.taken("free").columns()["slot"].tolist() == freed.tolist()

"""Batcher's network sorts, is as large as its formula says, and its hardware sorts as it does."""

import numpy as np
import pytest

from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.paper.batcher import comparators, network, sort
from spatten_hw.sim.paper.batcher_rtl import BatcherSorter


@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_it_sorts_everything(n):
    """All vectors of zeros and ones: by the zero-one principle then any."""
    bits = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1
    assert (np.diff(sort(bits), axis=1) >= 0).all()


def test_it_sorts_the_papers_length():
    keys = np.random.default_rng(1).integers(0, 4096, (5, 1024))
    assert (sort(keys) == np.sort(keys)).all()


@pytest.mark.parametrize("n", [2, 4, 16, 128, 1024])
def test_its_size(n):
    p = n.bit_length() - 1
    stages = network(n)
    assert len(stages) == p * (p + 1) // 2 and sum(map(len, stages)) == comparators(n)
    assert all(len({k for pair in stage for k in pair}) == 2 * len(stage) for stage in stages)
    assert comparators(1024) == 24_063


@pytest.mark.parametrize("n", [0, 1, 3, 12])
def test_other_lengths_are_refused(n):
    with pytest.raises(ValueError, match=f"power of two from 2 on, not {n}"):
        network(n)


def test_the_hardware_sorts():
    block, rng = Block(BatcherSorter, 12, 8), np.random.default_rng(1)
    keys = rng.integers(0, 4096, (50, 8))
    block.send("i", {"keys": keys})
    block.receive("o")
    block.run(200, o=50)
    out = block.taken("o")
    assert (out.columns()["keys"] == np.sort(keys)).all()
    # A vector per cycle, a stage per cycle.
    assert (np.diff(out.cycles) == 1).all() and out.cycles[0] - block.taken("i").cycles[0] == len(network(8))

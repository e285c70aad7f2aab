"""GiveBack: the ratio of two sums, wherever their leading ones are."""

from functools import cache

import numpy as np
import pytest

from spatten_hw.config import PROB_BITS
from spatten_hw.sim.golden.give_back import ratio
from spatten_hw.sim.harness.block import Block
from spatten_hw.topk.give_back import GiveBack
from spatten_hw.topk.sum_bins import MASS_BITS
from tests.seeds import numbers

from .test_mass import TINY


@cache
def block_of() -> Block:
    return Block(GiveBack, TINY)


def give(block: Block, item: int, rows: np.ndarray, kept: np.ndarray) -> None:
    """A vector, a row per cycle."""
    assert block.get("room") == 1
    for n, (probs, which) in enumerate(zip(rows, kept, strict=True)):
        block.set(enters=n == 0, valid=1, probs=sum(int(p) << PROB_BITS * lane for lane, p in enumerate(probs)),
                  kept=int(which @ (1 << np.arange(len(which)))), item=item, last=n == len(rows) - 1)
        block.idle(1)
    block.set(enters=0, valid=0)


def spread(rng: np.random.Generator, total: int, cells: int) -> np.ndarray:
    """Probabilities that sum to `total`."""
    cuts = np.sort(rng.integers(0, total + 1, cells - 1))
    return np.minimum(4095, np.diff(cuts, prepend=0, append=total))


@pytest.mark.parametrize("take", [0.0, 0.9])
def test_every_magnitude(take):
    rng, block = numbers("give back", take), block_of()
    lanes, most = TINY.slices, (1 << MASS_BITS) - 1
    sums = [(1 << bit) + more for bit in range(MASS_BITS) for more in (0, 0, 0, 1, int(rng.integers(1 << bit)))]
    items, totals, used = [], [], []
    block.receive("o", stall=take, seed=int(rng.integers(1, 1000)))
    for number, sum_ in enumerate(rng.permutation(sums)):
        # Half of the rows are kept; those of the other half sum to as much as is left, or a bit of it.
        high = most - int(sum_)
        rest = min(high, int(rng.choice([0, 1, high, rng.integers(high + 1), rng.integers(1, 2 * sum_ + 1)])))
        rows = np.concatenate([spread(rng, int(sum_), 4 * lanes), spread(rng, rest, 4 * lanes)]).reshape(8, lanes)
        kept = np.repeat([True, False], 4)[:, None].repeat(lanes, 1)
        order = rng.permutation(8)
        give(block, number % TINY.items, rows[order], kept[order])
        items.append(number % TINY.items)
        totals.append(rows.sum())
        used.append(rows[:4].sum())
        if take or rng.random() < 0.5:
            block.idle(int(rng.integers(0, 60)))
        while not block.get("room"):
            block.idle(1)
    block.run(60 * len(sums) + 100, o=len(sums))
    got = block.taken("o").columns()
    total, kept_sum = np.array(totals), np.array(used)
    differs = total != kept_sum
    assert got["item"].tolist() == items and np.array_equal(got["same"], ~differs)
    assert np.array_equal(got["r"][differs], ratio(total, kept_sum)[differs])

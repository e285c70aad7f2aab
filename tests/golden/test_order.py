"""The order of keys in the slices, against tokens walked one by one."""

import numpy as np
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.golden.order import slice_counts, vector_order
from spatten_hw.sim.golden.topk import topk_mask
from tests.seeds import numbers

CONFIG = SpAttenConfig(multipliers=32, chunk=8, max_dim=8, max_tokens=64, sram_tokens=16, channels=2)


def test_prompt():
    rows, slices, order = vector_order([3, 4, 9, 17, 60], 2, CONFIG, generate=False)
    assert rows.tolist() == [0, 0, 0, 0, 1]
    assert slices.tolist() == [2, 3, 0, 1, 2]
    assert order.tolist() == [2, 3, 0, 1, 4]


def test_generation():
    # Classes 3, 0, 1, 1, 0 of four; head 1 moves each by one slice.
    rows, slices, order = vector_order([3, 4, 9, 17, 60], 1, CONFIG, generate=True)
    assert rows.tolist() == [0, 0, 0, 1, 1]
    assert slices.tolist() == [0, 1, 2, 2, 1]
    assert order.tolist() == [0, 1, 2, 4, 3]
    assert slice_counts(slices, CONFIG).tolist() == [1, 2, 2, 0]


@pytest.mark.parametrize("head", range(5))
def test_any_survivors(head):
    rng, s = numbers("order", head), CONFIG.slices
    ids = np.sort(rng.permutation(CONFIG.max_tokens)[:int(rng.integers(1, CONFIG.max_tokens + 1))])
    rows, slices, order = vector_order(ids, head, CONFIG, generate=True)
    free = [0] * s
    for token, row, part in zip(ids, rows, slices, strict=True):
        assert part == (token + head) % s and row == free[part]
        free[part] += 1
    assert slice_counts(slices, CONFIG).tolist() == free
    places = [(rows[at], slices[at]) for at in order]
    assert places == sorted(places)
    # Among equal ones the first in this order are kept.
    kept = np.zeros(len(ids), dtype=bool)
    kept[order] = topk_mask(np.ones(len(ids), dtype=int), 3)
    assert sorted(zip(rows[kept], slices[kept], strict=True)) == places[:3]

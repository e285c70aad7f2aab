"""The golden Q×K: exact, or refused."""

import numpy as np
import pytest

from spatten_hw.sim.golden.score import scores


def test_golden_is_exact():
    rng = np.random.default_rng(1)
    q, k = rng.integers(-2048, 2048, (3, 5, 16)), rng.integers(-2048, 2048, (3, 7, 16))
    want = [[[sum(int(a) * int(b) for a, b in zip(x, y, strict=True)) for y in kk] for x in qq]
            for qq, kk in zip(q, k, strict=True)]
    assert scores(q, k).dtype == np.int64
    assert scores(q, k).tolist() == want


def test_golden_refuses_inexact():
    big = np.full((1, 4), 1 << 30)
    with pytest.raises(AssertionError, match="beyond"):
        scores(big, big)

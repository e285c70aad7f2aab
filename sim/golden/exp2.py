"""2^−y on integers, as `spatten_hw/softmax/exp2.py` computes it."""

from __future__ import annotations

from functools import cache

import numpy as np

from spatten_hw.sim.golden.numerics import round_shift
from spatten_hw.softmax.formats import BASE_FRACTION, LOW_BITS, SLOPE_FRACTION, Y_FRACTION, exp2_table


@cache
def _mantissas() -> np.ndarray:
    """m for every value of y's fraction."""
    table = np.array(exp2_table(), dtype=np.int64)
    fraction = np.arange(1 << Y_FRACTION, dtype=np.int64)
    base, slope = table[fraction >> LOW_BITS].T
    low = fraction & ((1 << LOW_BITS) - 1)
    return round_shift((base << (SLOPE_FRACTION - BASE_FRACTION)) - slope * low, SLOPE_FRACTION)


def exp2(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, i) of exponents y: 2^−(y·2^−14) ≈ m·2^−(16 + i)."""
    y = np.asarray(y, dtype=np.int64)
    return _mantissas()[y & ((1 << Y_FRACTION) - 1)], y >> Y_FRACTION

"""Reciprocal of a sum of exponentials, as `spatten_hw/softmax/reciprocal.py` computes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.sim.golden.numerics import round_shift
from spatten_hw.softmax.formats import R_EXPONENT, T_BITS


def reciprocal(total: ArrayLike, fraction: int) -> tuple[np.ndarray, np.ndarray]:
    """(r, k) of sums ≥ 1.0 with `fraction` (≥ 16) fraction bits: 1/sum ≈ r·2^(−17 − k).

    The sum is first rounded (half to even) to t of 17 bits; a t that reaches 2^17 becomes 2^16 with k + 1.
    Then r = 2^33 / t rounded half to even.
    """
    total = np.asarray(total, dtype=np.int64)
    k = np.zeros_like(total)
    rest = total >> fraction
    for step in (32, 16, 8, 4, 2, 1):
        big = rest >> step > 0
        k += np.where(big, step, 0)
        rest = np.where(big, rest >> step, rest)
    t = round_shift(total, fraction - (T_BITS - 1) + k)
    over = t >> T_BITS
    t, k = t >> over, k + over
    r, rest = np.divmod(np.int64(1) << R_EXPONENT, t)
    r += (2 * rest > t) | ((2 * rest == t) & (r & 1 == 1))
    return r, k

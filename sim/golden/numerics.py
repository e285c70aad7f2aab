"""Round and saturate on numpy integers: the golden twins of `spatten_hw.numerics.fixed`.

All arrays are int64; callers keep |value| < 2**62. Shapes are whatever numpy broadcasts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def round_shift(value: ArrayLike, amount: ArrayLike) -> np.ndarray:
    """value / 2**amount, rounded half to even; amount ≥ 0, elementwise. Amounts over 62 give 0."""
    v = np.asarray(value, dtype=np.int64)
    a = np.asarray(amount, dtype=np.int64)
    big = a > 62
    far = bool(big.any())
    if far:
        a = np.where(big, 62, a)
    # Half − 1, and one more where the floor is odd, carry into the floor exactly when it must go up.
    shifted = (a > 0).astype(np.int64)
    carry = v >> a
    carry &= shifted
    carry += v
    carry += (np.int64(1) << a >> 1) - shifted
    carry >>= a
    return np.where(big, 0, carry) if far else carry


def saturate(value: ArrayLike, bits: int, signed: bool) -> np.ndarray:
    """value clamped to a two's complement (signed) or unsigned range of `bits` bits."""
    lo = -(1 << (bits - 1)) if signed else 0
    hi = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    return np.clip(np.asarray(value, dtype=np.int64), lo, hi)

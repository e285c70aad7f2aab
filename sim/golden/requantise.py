"""Golden twin of `spatten_hw.write.requantise`: exact sums to 16-bit outputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.config import OUT_BITS

from .numerics import round_shift, saturate


def requantise(acc: ArrayLike, mant: ArrayLike, shift: ArrayLike) -> np.ndarray:
    """saturate(round_shift(acc · mant, shift)) to 16 bits two's complement, as int64; shapes broadcast.

    `acc`: exact Σ P·V; `mant`: 17 bits unsigned; `shift`: 0 … 63. One rounding, half to even.
    """
    product = np.asarray(acc, dtype=np.int64) * np.asarray(mant, dtype=np.int64)
    return saturate(round_shift(product, shift), OUT_BITS, signed=True)


def head_sum(out: ArrayLike) -> np.ndarray:
    """Σ |out| over the last axis: what one output row adds to the importance of its K/V head."""
    return np.abs(np.asarray(out, dtype=np.int64)).sum(axis=-1)

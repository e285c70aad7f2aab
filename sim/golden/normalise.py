"""Exponentials times the reciprocal of their sum, as `spatten_hw/softmax/normalise.py` computes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.config import PROB_BITS
from spatten_hw.sim.golden.numerics import round_shift, saturate
from spatten_hw.softmax.formats import PROB_SHIFT


def normalise(m: ArrayLike, i: ArrayLike, r: ArrayLike, k: ArrayLike) -> np.ndarray:
    """Probabilities with LSB 2^−12: saturate(round_shift(m·r, PROB_SHIFT + i + k)), unsigned."""
    m_, i_, r_, k_ = (np.asarray(a, dtype=np.int64) for a in (m, i, r, k))
    return saturate(round_shift(m_ * r_, PROB_SHIFT + i_ + k_), PROB_BITS, signed=False)

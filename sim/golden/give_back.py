"""What value pruning dropped is given back: outputs times Σp / Σkept p, in the output scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.host.scales import MANT_BITS

from .numerics import round_shift, saturate
from .reciprocal import reciprocal

#: The ratio: bits, of which fraction.
RATIO_BITS, RATIO_FRACTION = 18, 14
#: Fraction bits that `reciprocal` is given of an integer, and those of its result beside k.
_SUM_FRACTION, _INVERSE_FRACTION = 16, 17


def ratio(total: ArrayLike, kept: ArrayLike) -> np.ndarray:
    """r = Σp / Σkept p ≥ 1 with 14 fraction bits, rounded half to even, at most 2^18 − 1; 1 if Σkept p is 0.

    Σkept p is inverted as the softmax inverts its sum: to r' = 2^33 / t, t its leading 17 bits.
    """
    t, s = np.asarray(total, dtype=np.int64), np.asarray(kept, dtype=np.int64)
    inverse, k = reciprocal(np.maximum(s, 1) << _SUM_FRACTION, _SUM_FRACTION)
    r = saturate(round_shift(t * inverse, _INVERSE_FRACTION - RATIO_FRACTION + k), RATIO_BITS, signed=False)
    return np.where(s == 0, 1 << RATIO_FRACTION, r)


def given_back(mant: ArrayLike, shift: ArrayLike, total: ArrayLike, kept: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The output scale (mant, shift ≥ 4) of vectors of which probabilities of sum `kept` of `total` are used.

    If nothing of weight was dropped it stays as it is. Else r < 2^s, s = 1 … 4, so mant·r / 2^s has the width of mant.
    """
    mant_, shift_, total_, kept_ = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.int64) for x in (mant, shift, total, kept)))
    r = ratio(total_, kept_)
    whole = r >> RATIO_FRACTION
    s = sum((whole >> bit > 0).astype(np.int64) for bit in range(RATIO_BITS - RATIO_FRACTION))
    scaled = saturate(round_shift(mant_ * r, RATIO_FRACTION + s), MANT_BITS, signed=False)
    same = total_ == kept_
    return np.where(same, mant_, scaled), np.where(same, shift_, shift_ - s)

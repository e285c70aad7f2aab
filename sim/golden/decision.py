"""The progressive-quantisation decision, as `spatten_hw/softmax/decision.py` takes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.sim.golden.normalise import normalise
from spatten_hw.softmax.formats import M_ONE


def largest(r: ArrayLike, k: ArrayLike) -> np.ndarray:
    """max(P) of vectors from the reciprocal of their sum: the largest key has m = 1.0, i = 0."""
    return normalise(M_ONE, 0, r, k)


def flat(pmax: ArrayLike, threshold: ArrayLike) -> np.ndarray:
    """Whether vectors need their LSBs: max(P) < threshold, both in units of 2^−12."""
    return np.asarray(pmax, dtype=np.int64) < np.asarray(threshold, dtype=np.int64)

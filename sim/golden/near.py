"""LSBs by key: which keys a flat query takes the LSBs of, and what its scores become."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .softmax import exponents


def near_keys(scores: ArrayLike, margin: int, lengths: ArrayLike, mant: ArrayLike, pre: ArrayLike, post: ArrayLike
              ) -> np.ndarray:
    """Keys whose exponent y, of scores from K's MSBs, is at most `margin` (14 fraction bits, octaves): bool, shapes as
    in `softmax`. The largest key has y = 0, so a vector with keys has a near one."""
    s = np.asarray(scores)
    live = np.arange(s.shape[-1]) < np.asarray(lengths)[..., None]
    return live & (exponents(s, lengths, mant, pre, post) <= margin)


def partly_joined(msb: ArrayLike, lsb: ArrayLike, listed: ArrayLike, bits: int) -> np.ndarray:
    """Keys [..., n, D] as a flat query sees them: those of the list [..., n] with their LSBs less the middle of their
    interval, the others from their MSBs. So both kinds lack the same on average, which softmax cancels."""
    low = np.asarray(lsb, dtype=np.int64) - (1 << bits >> 1)
    return (np.asarray(msb, dtype=np.int64) << bits) + np.where(np.asarray(listed)[..., None], low, 0)

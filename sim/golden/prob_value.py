"""Prob×V: exact weighted sums of the kept V rows (`spatten_hw.matmul.prob_value`)."""

from __future__ import annotations

import numpy as np

from .score import exact_matmul


def prob_value(probs: np.ndarray, kept: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Exact sum of probs·kept times v.

    probs, kept [..., rows, n] (12-bit unsigned, boolean), v [..., n, D] -> int64 [..., rows, D].
    """
    weights = np.where(np.asarray(kept, dtype=bool), np.asarray(probs, dtype=np.int64), 0)
    return exact_matmul(weights, np.asarray(v))

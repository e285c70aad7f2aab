"""Token importance: Σ of the final probabilities a position received (twin of prune/token_importance.py)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def token_importance(probs: ArrayLike) -> np.ndarray:
    """Integer probabilities `[…, n]` → exact int64 sums `[n]` over all leading dimensions."""
    p = np.asarray(probs, dtype=np.int64)
    return p.reshape(-1, p.shape[-1]).sum(axis=0)

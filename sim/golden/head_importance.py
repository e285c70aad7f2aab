"""Head importance: Σ |out| of a head's outputs (twin of prune/head_importance.py)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def head_importance(out_ints: ArrayLike) -> np.ndarray:
    """Integer outputs of one head, any shape → their exact sum of magnitudes, int64."""
    return np.abs(np.asarray(out_ints, dtype=np.int64)).sum()

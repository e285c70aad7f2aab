"""Values by mass: how many of the largest probabilities reach a share of all."""

from __future__ import annotations

import numpy as np

from spatten_hw.config import PROB_BITS

#: A share of 1.
MASS_ONE = 1 << PROB_BITS


def mass_counts(probs: np.ndarray, share: int) -> np.ndarray:
    """How many of the largest of `probs` int [..., n] sum to at least ceil(share·Σp / 4096), at least one: [...].

    Probabilities that are not there are 0; so is Σp of a vector all of whose probabilities are rounded to 0, of which
    one is kept.
    """
    total = probs.sum(axis=-1, keepdims=True)
    return _prefix(probs, -(-share * total >> PROB_BITS))


def mass_counts_float(probs: np.ndarray, share: float) -> np.ndarray:
    """The same of real numbers and a real share."""
    return np.minimum(_prefix(probs, share * probs.sum(axis=-1, keepdims=True)), probs.shape[-1])


def _prefix(probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    largest = -np.sort(-probs, axis=-1)
    return 1 + (np.cumsum(largest, axis=-1) < target).sum(axis=-1)

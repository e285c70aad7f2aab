"""How sure a loss is: windows of text are what varies, and both models see the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Draws of the bootstrap, and its seed: the same interval in every run.
DRAWS, SEED = 4000, 1


def interval(ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of perplexity / perplexity − 1 from −ln p by window of two models, by a bootstrap over the windows."""
    difference = np.asarray(ours) - np.asarray(theirs)
    rng = np.random.default_rng(SEED)
    means = difference[rng.integers(0, len(difference), (DRAWS, len(difference)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(np.exp(low) - 1), float(np.exp(high) - 1)

"""How sure a loss is: windows of text are what varies, and both models see the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Draws of the bootstrap, and its seed: the same interval in every run.
DRAWS, SEED = 4000, 1
#: Steps of a text without end whose mean loss is looked at.
BLOCK = 1000


def interval(ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of perplexity / perplexity − 1 from −ln p by window of two models, by a bootstrap over the windows."""
    difference = np.asarray(ours) - np.asarray(theirs)
    rng = np.random.default_rng(SEED)
    means = difference[rng.integers(0, len(difference), (DRAWS, len(difference)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(np.exp(low) - 1), float(np.exp(high) - 1)


def blocks_of(losses: np.ndarray) -> np.ndarray:
    """Means [windows, blocks] of [windows, steps] by block of `BLOCK` steps; the last one may be shorter."""
    ends = range(BLOCK, losses.shape[1], BLOCK)
    return np.stack([part.mean(axis=1) for part in np.split(losses, ends, axis=1)], axis=1)


def drift(rise: np.ndarray) -> list[float]:
    """Slope per 1,000 steps of rise [windows, blocks], and the bounds of its 95 % interval, by a bootstrap over blocks
    and windows."""
    places = np.tile(np.arange(rise.shape[1]) * BLOCK / 1000, rise.shape[0])
    values = rise.reshape(-1)
    drawn = np.random.default_rng(SEED).integers(0, len(values), (DRAWS, len(values)))
    slopes = [_slope(places[i], values[i]) for i in drawn]
    low, high = np.quantile(slopes, [0.025, 0.975])
    return [round(float(x), 6) for x in (_slope(places, values), low, high)]


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Least squares of y over x; 0 where a draw has one place alone."""
    x = x - x.mean()
    return float(x @ y / (x @ x)) if x.any() else 0.0

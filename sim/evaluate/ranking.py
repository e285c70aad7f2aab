"""How much of an order survives: Spearman's rank correlation (mean ranks where values tie)."""

from __future__ import annotations

import numpy as np


def ranks(x: np.ndarray) -> np.ndarray:
    """Rank of every value, from 0; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + last - 1) / 2)[inverse]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation of two lists of the same length, −1 … 1; 0 if either has no order at all."""
    x, y = ranks(np.asarray(a).reshape(-1)), ranks(np.asarray(b).reshape(-1))
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm else 0.0


def similarities(vectors: np.ndarray) -> np.ndarray:
    """Similarity of every pair of unit vectors [count, hidden]."""
    upper = np.triu_indices(len(vectors), 1)
    return (vectors @ vectors.T)[upper]

"""A scale per channel of K and V without hardware for it: factors folded into Q and into the outputs.

K is divided by a factor for each channel before it is quantised and Q multiplied by it, so scores stay what they are; V
is divided by one, and outputs are multiplied. A few channels of K are much larger than the others in language models,
and one scale per head wastes the range of the rest (KIVI, arXiv 2402.02750).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: The smallest factor, as part of the largest of its head: a channel that was 0 so far may be used later.
LEAST = 1 / 64


def channel_factors(rows: np.ndarray) -> np.ndarray:
    """Factors [heads, D] of rows [heads, tokens, D]: each channel's largest magnitude, that of its head being 1."""
    peaks = np.abs(np.asarray(rows, dtype=np.float64)).max(axis=-2)
    return factors_of(peaks)


def factors_of(peaks: np.ndarray) -> np.ndarray:
    """Factors [..., D] of the largest magnitudes [..., D]; 1 for a head of zeros."""
    largest = peaks.max(axis=-1, keepdims=True)
    return np.maximum(peaks / np.where(largest > 0, largest, 1.0), np.where(largest > 0, LEAST, 1.0))


@dataclass(frozen=True)
class Folds:
    """Factors `k`, `v` float64 [kv_heads, D]; each K/V head serves as many query heads as there are for it."""

    k: np.ndarray
    v: np.ndarray

    @classmethod
    def of(cls, k: np.ndarray, v: np.ndarray) -> Folds:
        """Of rows k, v [kv_heads, tokens, D], all that the scales are to be found on."""
        return cls(channel_factors(k), channel_factors(v))

    def divided(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """q [query_heads, rows, D], k and v [kv_heads, tokens, D] as they are quantised."""
        group = q.shape[0] // k.shape[0]
        return q * np.repeat(self.k, group, axis=0)[:, None], k / self.k[:, None], v / self.v[:, None]

    def multiplied(self, out: np.ndarray) -> np.ndarray:
        """Outputs [query_heads, rows, D] of divided V as those of V."""
        return out * np.repeat(self.v, out.shape[0] // self.v.shape[0], axis=0)[:, None]

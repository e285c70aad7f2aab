"""Top-k selection: what `spatten_hw.topk` must compute (SpAtten, section IV-B; ties are our decision)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

#: Products of keys and positions below this are exact, with room for the position.
LIMIT = 1 << 62


def topk_mask(keys: ArrayLike, k: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
    """Which of the n keys of every vector are kept: bool [..., n].

    `keys` int [..., n]; `k` and `lengths` int, broadcast to [...]. Only the first `lengths` entries are
    candidates (default all). Exactly min(k, length) are kept: the largest, among equals the lowest index.
    """
    values = np.asarray(keys)
    n = values.shape[-1]
    lead = values.shape[:-1]
    length = np.broadcast_to(np.asarray(n if lengths is None else lengths), lead)
    keep = np.minimum(np.broadcast_to(np.asarray(k), lead), length)
    index = np.arange(n)
    candidate = index < length[..., None]
    if not values.size:
        return np.zeros(values.shape, dtype=bool)
    if abs(int(values.max())) < LIMIT // n and abs(int(values.min())) < LIMIT // n:
        # One integer per entry that orders by descending key, then ascending index; candidates come first.
        rank = np.where(candidate, index - values.astype(np.int64) * n, np.iinfo(np.int64).max)
        least = np.clip(keep, 1, n) - 1
        if least.min() == least.max():
            worst = np.partition(rank, least.flat[0], axis=-1)[..., least.flat[0], None]
        else:
            worst = np.take_along_axis(np.sort(rank, axis=-1), least[..., None], axis=-1)
        return candidate & (rank <= worst) & (keep > 0)[..., None]
    # Rank by (not a candidate, descending key, ascending index); ~key reverses the order without overflow.
    order = np.lexsort((np.broadcast_to(index, values.shape), ~values, ~candidate), axis=-1)
    kept = index < keep[..., None]
    mask = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(mask, order, kept, axis=-1)
    return mask

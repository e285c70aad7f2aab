"""Where the keys of a vector are in the slices, and in which order ties among them are broken."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.config import SpAttenConfig


def vector_order(ids: ArrayLike, kv_head: int, config: SpAttenConfig,
                 generate: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, slices, order) of the surviving tokens `ids` (ascending) of a K/V head.

    Token ids[i] is row rows[i] of slice slices[i]; ids[order] are the tokens by row, then by slice: the order in which
    the local top-k keeps equal ones. Prompt: position p of the dense list is row p div S of slice
    (p + kv_head) mod S. Generation: token t belongs to slice (t + kv_head) mod S; its row is its rank among the
    survivors of its class, t mod S.
    """
    tokens, s = np.asarray(ids, dtype=np.int64), config.slices
    position = np.arange(len(tokens))
    if not generate:
        rows, slices = position // s, (position + kv_head) % s
        return rows, slices, np.lexsort((slices, rows))
    classes = tokens % s
    rows = np.zeros(len(tokens), dtype=np.int64)
    for number in range(s):
        mine = classes == number
        rows[mine] = np.arange(np.count_nonzero(mine))
    slices = (tokens + kv_head) % s
    return rows, slices, np.lexsort((slices, rows))


def slice_counts(slices: ArrayLike, config: SpAttenConfig) -> np.ndarray:
    """Keys in every slice: int [S]."""
    return np.bincount(np.asarray(slices), minlength=config.slices)

"""Which values of vectors are kept, where equal ones are taken in the order of `order.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.config import SpAttenConfig


def generation_orders(ids: np.ndarray, heads: np.ndarray, config: SpAttenConfig) -> np.ndarray:
    """`vector_order` of generation for survivors `ids` [sequences, n] and K/V heads `heads` [sequences, h] at once:
    [sequences, h, n]."""
    s = config.slices
    place = np.broadcast_to(np.arange(ids.shape[-1]), ids.shape)
    # A stable sort by class puts the survivors of a class in a run, whose places are their ranks.
    classes = ids % s
    by_class = np.argsort(classes, axis=-1, kind="stable")
    ordered = np.take_along_axis(classes, by_class, axis=-1)
    starts = np.ones(ids.shape, dtype=bool)
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    rows = np.empty(ids.shape, dtype=np.int64)
    np.put_along_axis(rows, by_class, place - np.maximum.accumulate(np.where(starts, place, 0), axis=-1), axis=-1)
    slices = (classes[:, None] + heads[..., None]) % s
    return np.argsort(rows[:, None] * s + slices, axis=-1, kind="stable")


def kept_in_order(mask: Callable[..., Any], probs: np.ndarray, keep: int, lengths: ArrayLike,
                  order: np.ndarray | None) -> np.ndarray:
    """Which probabilities […, n] are kept, by `mask(keys, k, lengths)`, whose ties go to the first of the vector.
    `order` […, n]: which key is the j-th, None: they are in order; vectors with an order have n keys."""
    if order is None:
        return mask(probs, keep, lengths)
    order = np.broadcast_to(order, probs.shape)
    kept = np.empty(probs.shape, dtype=bool)
    np.put_along_axis(kept, order, mask(np.take_along_axis(probs, order, axis=-1), keep, None), axis=-1)
    return kept

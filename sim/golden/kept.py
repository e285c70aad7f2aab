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


def prompt_orders(keys: int, heads: np.ndarray, config: SpAttenConfig) -> np.ndarray:
    """`vector_order` of prompts of `keys` survivors for K/V heads `heads` [sequences, h] at once: [sequences, h, n]."""
    place = np.arange(keys)
    slices = (place + heads[..., None]) % config.slices
    return np.argsort(place // config.slices * config.slices + slices, axis=-1, kind="stable")


def kept_in_order(mask: Callable[..., Any], probs: np.ndarray, keep: ArrayLike, lengths: ArrayLike,
                  order: np.ndarray) -> np.ndarray:
    """Which probabilities […, n], of which the first `lengths` […] are there, are kept by `mask(keys, k, lengths)`,
    whose ties go to the first of the vector: `keep` […], at least one. `order` […, n]: which key is the j-th."""
    n = probs.shape[-1]
    length = np.broadcast_to(np.asarray(lengths), probs.shape[:-1])
    # Those that are not there come last whatever the order.
    there = probs if length.min(initial=n) == n else np.where(np.arange(n) < length[..., None], probs, -1)
    order = np.broadcast_to(order, probs.shape)
    kept = np.empty(probs.shape, dtype=bool)
    found = mask(np.take_along_axis(there, order, axis=-1), np.minimum(np.maximum(1, keep), length), None)
    np.put_along_axis(kept, order, found, axis=-1)
    return kept

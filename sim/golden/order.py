"""Where the keys of a vector lie, and in which order they are compared: by row, then by slice (`stream/layouts.py`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.config import SpAttenConfig


def vector_order(ids: ArrayLike, kv_head: ArrayLike, config: SpAttenConfig, generate: bool
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, slices, order) of the surviving tokens `ids` […, n], ascending, for K/V heads `kv_head` […].

    Key i of the ascending list lies in row rows[…, i] of slice slices[…, i]; order[…, j] is which key is the j-th of
    the vector. In a prompt position p lies in slice p mod S, row p div S; in generation token t of head h in slice
    (t + h) mod S, where its row is its rank among the survivors of its class, t mod S.
    """
    s = config.slices
    tokens, heads = np.asarray(ids, dtype=np.int64), np.asarray(kv_head, dtype=np.int64)
    shape = np.broadcast_shapes(tokens.shape, (*heads.shape, 1))
    place = np.broadcast_to(np.arange(shape[-1]), shape)
    if not generate:
        return place // s, place % s, place
    # A stable sort by class puts the survivors of a class in a run, whose places are their ranks.
    classes = np.broadcast_to(tokens % s, shape)
    by_class = np.argsort(classes, axis=-1, kind="stable")
    ordered = np.take_along_axis(classes, by_class, axis=-1)
    starts = np.concatenate([np.ones((*shape[:-1], 1), dtype=bool), ordered[..., 1:] != ordered[..., :-1]], axis=-1)
    rows = np.empty(shape, dtype=np.int64)
    np.put_along_axis(rows, by_class, place - np.maximum.accumulate(np.where(starts, place, 0), axis=-1), axis=-1)
    slices = (classes + heads[..., None]) % s
    return rows, slices, np.argsort(rows * s + slices, axis=-1, kind="stable")


def kept_in_order(mask, probs: np.ndarray, keep: int, lengths: ArrayLike, order: np.ndarray | None) -> np.ndarray:
    """Which probabilities […, n] are kept, by `mask(keys, k, lengths)`, whose ties go to the first of the vector.
    `order` […, n]: of the keys in it, None: as they are; such vectors have n keys, whatever `lengths` says."""
    if order is None:
        return mask(probs, keep, lengths)
    order = np.broadcast_to(order, probs.shape)
    kept = np.empty(probs.shape, dtype=bool)
    np.put_along_axis(kept, order, mask(np.take_along_axis(probs, order, axis=-1), keep, None), axis=-1)
    return kept

"""The slots of a cache: which position each holds, its importance so far, and which slot a new token takes.

A K/V head's cache is a plane of slots in the accelerator's memory. What the prompt leaves is moved to the first slots;
a token generated takes the slot of the one that was dropped for it, so that memory stays as it is for ever. The order
of the slots means nothing to attention: the positions are in the keys, which are rotated before they are stored.
"""

from __future__ import annotations

import numpy as np

from .policy import Eviction


class Slots:
    """The slots of a layer, for `sequences` × `heads` caches in lockstep.

    `positions` int64 [sequences, heads, slots in use]; `importance` float64, the same shape. `where` [sequences,
    heads]: the slot that the next token takes.
    """

    def __init__(self, policy: Eviction, budget: int):
        self.policy, self.budget = policy, budget
        self.positions = np.zeros((0, 0, 0), dtype=np.int64)
        self.importance = np.zeros((0, 0, 0))
        self.seen = 0

    def fill(self, importance: np.ndarray) -> np.ndarray:
        """After a prompt of n tokens with importance [sequences, heads, n]: the positions to keep, in the order of
        their slots [sequences, heads, kept]."""
        self.seen = importance.shape[-1]
        every = np.broadcast_to(np.arange(self.seen), importance.shape)
        self.positions = self.policy.choose(importance, every, self.seen, self.budget)
        self.importance = np.take_along_axis(np.asarray(importance, dtype=np.float64), self.positions, axis=-1)
        self.where = np.full(self.positions.shape[:2], self.positions.shape[-1])
        return self.positions

    @property
    def tokens(self) -> int:
        """Slots in use."""
        return self.positions.shape[-1]

    def take(self) -> np.ndarray:
        """A token comes: the slot [sequences, heads] that it takes in each cache."""
        where = self.where
        if (where == self.tokens).all():
            grown = [(0, 0), (0, 0), (0, 1)]
            self.positions, self.importance = np.pad(self.positions, grown), np.pad(self.importance, grown)
        np.put_along_axis(self.positions, where[..., None], self.seen, axis=-1)
        np.put_along_axis(self.importance, where[..., None], 0.0, axis=-1)
        self.seen += 1
        return where

    def settle(self, importance: np.ndarray) -> None:
        """The query of the token has given `importance` [sequences, heads, slots]: one is dropped if the cache is full,
        and its slot is the next one's."""
        policy, count = self.policy, self.tokens
        importance = policy.counted(importance)
        self.importance = importance.astype(np.float64) if policy.steps == "last" else self.importance + importance
        if policy.steps == "grow" or count <= self.budget:
            self.where = np.full(self.positions.shape[:2], count)
            return
        kept = policy.choose(self.importance, self.positions, self.seen, self.budget)
        dropped = np.ones(self.positions.shape, dtype=bool)
        np.put_along_axis(dropped, kept, False, axis=-1)
        self.where = np.argmax(dropped, axis=-1)

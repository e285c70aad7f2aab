"""A model that sees a whole text at once, layer by layer: everything but attention, which the caller supplies.

Tokens that attention drops take no further part: not in that layer's MLP, in no later layer, not in what is made of the
last layer's rows.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

#: (layer, q, k, v [heads, tokens, dim]) → (out [heads, kept, dim], kept: positions of tokens that go on).
Attention = Callable[[int, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Tokens:
    """A text as a model sees it, special tokens such as [CLS] among the others."""

    ids: tuple[int, ...]
    pieces: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, most: int) -> Tokens:
        """The first `most` of them."""
        return Tokens(self.ids[:most], self.pieces[:most])


class Encoder(abc.ABC):
    """`layers` layers of `heads` heads of `dim` channels for at most `max_tokens` tokens.

    `protected`: first and last tokens that are never pruned, the special ones. `out_unit`: real value of one unit of an
    output integer of 16 bits; outputs are averages of V, whose elements have to stay below 2¹⁵ of them.
    """

    title: ClassVar[str]
    protected: ClassVar[tuple[int, int]]
    out_unit: ClassVar[float]
    weights: Mapping[str, np.ndarray]
    layers: int
    heads: int
    dim: int
    max_tokens: int

    # -- the parts of a pass, on rows of tokens ---------------------------------------------------------------

    @abc.abstractmethod
    def embed(self, tokens: Tokens) -> np.ndarray:
        """[tokens, hidden]."""

    def enter(self, layer: int, x: np.ndarray, first: np.ndarray) -> np.ndarray:
        """What a layer begins with, of rows `x` and what the same tokens were before all layers, `first`."""
        return x

    @abc.abstractmethod
    def project(self, layer: int, x: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q, K and V [heads, tokens, dim] of rows `x` of the tokens at `positions`."""

    @abc.abstractmethod
    def finish(self, layer: int, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The rest of a layer: rows `x` it began with and their attention `out` [heads, tokens, dim] → new rows."""

    @abc.abstractmethod
    def pool(self, x: np.ndarray) -> np.ndarray:
        """What the model makes of the last rows: a sentence vector, or logits."""

    def encode(self, tokens: Tokens, attention: Attention | None = None, pool_dropped: bool = False) -> np.ndarray:
        """What the model makes of a text, by `attention` (default: dense, in float). Tokens that it drops are out of
        every later step and of the pool; with `pool_dropped` the pool takes them as they were when they dropped out."""
        attend = dense_attention if attention is None else attention
        first = self.embed(tokens)
        x, alive, rows = first, np.arange(len(tokens)), first.copy()
        for layer in range(self.layers):
            x = self.enter(layer, x, first[alive])
            out, kept = attend(layer, *self.project(layer, x, alive))
            x = self.finish(layer, x[kept], out)
            alive = alive[kept]
            rows[alive] = x
        return self.pool(rows if pool_dropped else x)


def dense_attention(layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Plain float attention that keeps every token."""
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ v, np.arange(q.shape[1])

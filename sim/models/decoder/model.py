"""What a decoder is to its session: sizes, and everything of a pass but attention."""

from __future__ import annotations

from typing import Protocol

import numpy as np

#: The classes of operands, in the order in which `project` gives them.
OPERANDS = ("q", "k", "v")


class DecoderModel(Protocol):
    """Sizes: `heads` query heads on `kv_heads` K/V heads of `dim`; `context`: most tokens it sees. In messages, `title`
    is the model and `unit` a token of it.

    `peaks`: "q" → float64 [layers, heads], "k", "v" → [layers, kv_heads]: the largest magnitudes, after the folds, of a
    static quantisation. `folds`: "k", "v" → float64 [layers, kv_heads, dim] or None: a factor for each channel that K
    and V are divided by before they are quantised; Q is multiplied by K's, and outputs by V's, so that attention stays
    what it is. (KIVI, arXiv 2402.02750: K wants a scale per channel.)
    """

    title: str
    unit: str
    layers: int
    heads: int
    kv_heads: int
    dim: int
    context: int
    peaks: dict[str, np.ndarray]
    folds: dict[str, np.ndarray] | None

    def embed(self, ids: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """[tokens, hidden] of token ids and positions [tokens]."""
        ...

    def project(self, layer: int, x: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q [tokens, heads, dim], K and V [tokens, kv_heads, dim] of rows x [tokens, hidden]."""
        ...

    def finish(self, layer: int, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The rest of a block: rows x it began with, their attention out [tokens, heads, dim] → new rows."""
        ...

    def logits(self, x: np.ndarray) -> np.ndarray:
        """[..., vocabulary] of the last block's rows [..., hidden]."""
        ...

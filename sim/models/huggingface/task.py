"""One layer of one sequence: what goes in, what comes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatten_hw.host.results import LayerStats


@dataclass(frozen=True)
class LayerTask:
    """q [query_heads, rows, D], k and v [kv_heads, tokens, D]: real values, float64, without padding; scores are
    q kᵀ / sqrt(D). rows = tokens in a prompt, queries of a generation step. `keep`: tokens, heads, values; None for
    all."""

    step: int
    layer: int
    generate: bool
    causal: bool
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    keep: tuple[int | None, int | None, int | None]

    @property
    def tokens(self) -> int:
        return self.k.shape[1]

    @property
    def queries(self) -> int:
        """Queries of a generation step."""
        return self.q.shape[1] if self.generate else 1


@dataclass(frozen=True)
class LayerOutcome:
    """`out` [query_heads, rows, D] real, 0 where nothing is computed; `tokens` [tokens] and `heads` [kv_heads]: alive.
    `operands`: q, k, v as the engine had them, integers × `scales` [heads] (golden) or real (float, no scales).
    `clipped`: elements of Q, K and V beyond their scale; `saturated`: outputs at the end of their 16 bits."""

    out: np.ndarray
    tokens: np.ndarray
    heads: np.ndarray
    stats: LayerStats
    operands: dict[str, np.ndarray]
    scales: dict[str, np.ndarray] | None = None
    clipped: int = 0
    saturated: int = 0

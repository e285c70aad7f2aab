"""What a layer job leaves behind, on the golden model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spatten_hw.host.results import BYTE_CLASSES, OPERAND_CLASSES


@dataclass
class LayerResult:
    """What one job leaves behind. rows = tokens in summarisation (row i = token i), queries in generation.

    `out` [query_heads, rows, D]: 0 where nothing is written; `written`, `refetched` [query_heads, rows];
    `tokens_alive` [tokens], `heads_alive` [heads]: as this layer used them; `bytes`: by class; `rows`: operand rows
    read, by class; `ids`, `scores`: the 64-bit words stored, if the job stores them. `token_scores` [tokens],
    `head_scores` [heads] int64: the cascade's totals after the layer, stored or not. `kept` [query_heads, rows]: how
    many values each query used; `lsb_keys` [heads, tokens]: keys whose LSBs were read.
    """

    out: np.ndarray
    written: np.ndarray
    refetched: np.ndarray
    tokens_alive: np.ndarray
    heads_alive: np.ndarray
    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BYTE_CLASSES, 0))
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OPERAND_CLASSES, 0))
    ids: np.ndarray | None = None
    scores: np.ndarray | None = None
    token_scores: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    head_scores: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    kept: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    lsb_keys: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))

    @property
    def queries(self) -> int:
        """Query rows computed, over all heads (work items)."""
        return int(self.written.sum())

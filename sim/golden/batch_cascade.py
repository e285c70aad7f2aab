"""Cascade pruning of many sequences in lockstep: `Cascade`, with a leading axis of sequences.

All sequences run the same job, and counts are exact, so each has as many tokens and heads alive as every other;
which ones differs.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import LayerJob

from .cascade import CascadeError
from .topk import topk_mask


class BatchCascade:
    """State of `sequences` accelerators between layers.

    `tokens_alive` [sequences, alive], `heads_alive` [sequences, alive]: ascending (no columns after reset);
    `token_scores` [sequences, max_tokens], `head_scores` [sequences, max_heads]: totals by id, 0 after reset; int64, or
    float64 for a model in real numbers (`exact` false), whose totals do not saturate.
    """

    def __init__(self, config: SpAttenConfig, sequences: int, exact: bool = True):
        kind = np.int64 if exact else np.float64
        self.exact = exact
        self.token_bits, self.head_bits = config.token_score_bits, config.head_score_bits
        self.token_scores = np.zeros((sequences, config.max_tokens), dtype=kind)
        self.head_scores = np.zeros((sequences, config.max_heads), dtype=kind)
        self.tokens_alive = np.zeros((sequences, 0), dtype=np.int64)
        self.heads_alive = np.zeros((sequences, 0), dtype=np.int64)

    def prepare(self, job: LayerJob) -> None:
        """Everything before a layer. Raises `CascadeError` where the hardware would end the job with an error, and
        `ValueError` for a job that loads its state from memory."""
        if job.load_scores or job.load_ids:
            raise ValueError("a batch keeps its state from job to job and loads none")
        if job.query_rows > 1 and job.generate:
            raise ValueError("a batch has one query per generation job")
        sequences = len(self.token_scores)
        if job.clear_scores:
            self.token_scores[:] = 0
            self.head_scores[:] = 0
        if job.restart:
            self.tokens_alive = np.tile(np.arange(job.tokens), (sequences, 1))
            self.heads_alive = np.tile(np.arange(job.heads), (sequences, 1))
        if not self.tokens_alive.size or not self.heads_alive.size:
            raise CascadeError("nothing is alive: restart first")
        if self.tokens_alive[:, -1].max() >= job.tokens or self.heads_alive[:, -1].max() >= job.heads:
            raise CascadeError("continued cascade has a token or head that the job has not")
        a = self.tokens_alive
        if max(1, job.keep_tokens) < a.shape[1]:
            protected = (a < job.protect_first) | (a >= job.tokens - job.protect_last)
            self.tokens_alive = self._keep(self.token_scores, a, max(1, job.keep_tokens), self.token_bits, protected)
        if max(1, job.keep_heads) < self.heads_alive.shape[1]:
            self.heads_alive = self._keep(self.head_scores, self.heads_alive, max(1, job.keep_heads), self.head_bits)

    def _keep(self, totals: np.ndarray, alive: np.ndarray, count: int, bits: int,
              protected: np.ndarray | None = None) -> np.ndarray:
        """The `count` ids of each row with the largest totals; protected ones first, ties to the lowest id."""
        scores = np.take_along_axis(totals, alive, axis=1)
        if self.exact and protected is not None and bits < 62:
            kept = topk_mask(scores + (protected.astype(np.int64) << bits), count)
        elif self.exact and protected is None:
            kept = topk_mask(scores, count)
        else:
            first = np.zeros(alive.shape, dtype=bool) if protected is None else protected
            order = np.lexsort((alive, -scores, ~first), axis=-1)
            kept = np.zeros(alive.shape, dtype=bool)
            np.put_along_axis(kept, order[:, :count], True, axis=-1)
        return alive[kept].reshape(len(alive), count)

    def add(self, token_sums: np.ndarray) -> None:
        """Importance [sequences, n] of the first n tokens that was computed elsewhere."""
        n = token_sums.shape[1]
        total = self.token_scores[:, :n] + token_sums
        if self.exact:
            total = np.minimum(total, (1 << self.token_bits) - 1)
        self.token_scores[:, :n] = total

    def finish(self, token_sums: np.ndarray, head_sums: np.ndarray) -> None:
        """After a layer: Σ P of the alive tokens, Σ |out| of the alive heads, [sequences, alive] each."""
        for totals, alive, sums, bits in ((self.token_scores, self.tokens_alive, token_sums, self.token_bits),
                                          (self.head_scores, self.heads_alive, head_sums, self.head_bits)):
            total = np.take_along_axis(totals, alive, axis=1) + sums
            if self.exact:
                total = np.minimum(total, (1 << bits) - 1)
            np.put_along_axis(totals, alive, total, axis=1)

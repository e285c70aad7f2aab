"""The algorithm on many sequences in float64: `BatchAccelerator` without quantisation.

Pruning, attention and importance as in `float_engine.py`. Beside the integers' results it tells what pruning costs and
what quantisation adds.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import LayerJob

from .batch import LARGEST
from .batch_cascade import BatchCascade
from .batch_operands import Rows
from .batch_part import Part, pieces
from .mass import MASS_ONE, mass_counts_float


class BatchFloat:
    """`sequences` models in lockstep, with the context and heads of `config`; state between jobs in `cascade`."""

    def __init__(self, config: SpAttenConfig, sequences: int):
        self.config = config
        self.cascade = BatchCascade(config, sequences, exact=False)

    def run(self, job: LayerJob, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Outputs [sequences, query_heads, rows, D] of real q [sequences, query_heads, rows, D] and k, v [sequences,
        heads, tokens, D]; 0 where nothing is alive. Bit widths, scales, thresholds and addresses mean nothing here."""
        self.cascade.prepare(job)
        heads, ids = self.cascade.heads_alive, self.cascade.tokens_alive
        done = [self._attend(job, q[s], k[s], v[s], heads[s], ids[s]) for s in pieces(job, heads, ids, LARGEST)]
        out, token_sums, head_sums = (np.concatenate(arrays) for arrays in zip(*done, strict=True))
        self.cascade.finish(token_sums, head_sums)
        return out

    def _attend(self, job: LayerJob, q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: np.ndarray, ids: np.ndarray
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Outputs of some of the sequences, and what they add to the scores of tokens and heads."""
        rows = 1 if job.generate else ids.shape[1]
        causal = job.causal and not job.generate
        lengths = np.arange(1, rows + 1) if causal else np.full(rows, ids.shape[1])
        part = Part(job, self.config, heads, ids, lengths, exact=False)
        visible = np.arange(ids.shape[1]) < lengths[:, None]
        scores = np.where(visible, part.scorer(q, Rows(k, k))(False) / np.sqrt(job.dim), -np.inf)
        e = np.exp(scores - scores.max(axis=-1, keepdims=True))
        probs = e / e.sum(axis=-1, keepdims=True)
        weights = probs
        if job.keep_values < ids.shape[1] or job.mass_share:
            golden = self.config.engine.golden_mask()
            keep: int | np.ndarray = min(job.keep_values, ids.shape[1])
            if job.mass_share:
                keep = np.minimum(keep, mass_counts_float(probs, job.mass_share / MASS_ONE))
            # Not negative, so their bits are integers in the same order.
            weights = np.where(golden(probs.view(np.int64), keep, lengths), probs, 0.0)
        out, _ = part.weigh(weights, Rows(v, v))
        if job.give_back:
            out *= (probs.sum(axis=-1) / weights.sum(axis=-1))[..., None]
        return part.spread(out), probs.sum(axis=(1, 2, 3)), np.abs(out).sum(axis=(2, 3, 4))

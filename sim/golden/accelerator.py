"""The whole accelerator on integers, bit for bit: one layer job at a time, and the bytes it moves.

Joins the golden models of the blocks in the order of `docs/architecture.md`: prepare the cascade, then for each
alive K/V head its query heads over all queries at once, then finish. A result depends only on the job, the
operands and the state before; the bytes of words on their address, so the addresses of the job matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import LayerJob
from spatten_hw.host.words import WORD_BYTES, survivor_words
from spatten_hw.interface.descriptor import HEADER_WORDS, SCALE_WORDS, scale_command_words

from .bytes_moved import BytesMoved
from .cascade import Cascade
from .decision import flat
from .fetch import msb_operands
from .give_back import given_back
from .head_importance import head_importance
from .kept import kept_in_order
from .layer_result import LayerResult
from .mass import mass_counts
from .near import near_keys, partly_joined
from .order import vector_order
from .prob_value import prob_value
from .requantise import requantise
from .score import scores
from .softmax import softmax
from .token_importance import token_importance


class GoldenAccelerator:
    """An accelerator of `config`; its state between jobs is `cascade`."""

    def __init__(self, config: SpAttenConfig):
        self.config = config
        self.cascade = Cascade(config)

    def run(self, job: LayerJob, q: np.ndarray, k: np.ndarray, v: np.ndarray, *, descriptor: int = 0,
            ids_in: np.ndarray | None = None, scores_in: np.ndarray | None = None) -> LayerResult:
        """Runs `job` on integers q [query_heads, rows, D], k, v [heads, tokens, D] at full precision.

        `descriptor` is the address of the descriptor (it costs bytes). `ids_in`, `scores_in`: the words in
        memory at those addresses, for a job that loads them.
        """
        return _Run(self, job, np.asarray(q), np.asarray(k), np.asarray(v)).all(descriptor, ids_in, scores_in)


class _First(NamedTuple):
    """The first pass of a query head, with K's MSBs: its Q, probabilities [rows, alive], which rows are flat, and of
    which keys each flat one wants the LSBs [rows, alive]: all that it sees or, by key, the near ones."""

    q: np.ndarray
    probs: np.ndarray
    flat: np.ndarray
    near: np.ndarray


class _Run:
    """One job in progress."""

    def __init__(self, owner: GoldenAccelerator, job: LayerJob, q: np.ndarray, k: np.ndarray, v: np.ndarray):
        self.config, self.cascade, self.job = owner.config, owner.cascade, job
        self.q, self.k, self.v = q, k, v
        rows = job.query_rows
        self.result = LayerResult(
            out=np.zeros((job.query_heads, rows, job.dim), dtype=np.int64),
            written=np.zeros((job.query_heads, rows), dtype=bool),
            refetched=np.zeros((job.query_heads, rows), dtype=bool),
            tokens_alive=np.zeros(job.tokens, dtype=bool), heads_alive=np.zeros(job.heads, dtype=bool),
            kept=np.zeros((job.query_heads, rows), dtype=np.int64),
            lsb_keys=np.zeros((job.heads, job.tokens), dtype=bool))
        self.moved = BytesMoved(self.config, job, self.result)

    def all(self, descriptor: int, ids_in: np.ndarray | None, scores_in: np.ndarray | None) -> LayerResult:
        job, result = self.job, self.result
        self.moved.words(descriptor, HEADER_WORDS)
        self.moved.section(descriptor + WORD_BYTES * HEADER_WORDS, SCALE_WORDS * job.query_heads,
                           scale_command_words(self.config))
        self._prepare(ids_in, scores_in)
        self.ids = np.flatnonzero(result.tokens_alive)
        self.lengths = np.full(self._rows(), len(self.ids), dtype=np.int64)
        if job.causal:
            # The queries are the last survivors: all of a prompt's, the last `queries` of generation.
            self.lengths -= np.arange(self._rows())[::-1]
        block = self.config.chunk_positions(job.group) if job.generate else self._rows()
        self.blocks = [slice(at, min(at + block, self._rows())) for at in range(0, self._rows(), block)]
        token_sums = np.zeros(len(self.ids), dtype=np.int64)
        head_sums = np.zeros(job.heads, dtype=np.int64)
        for head in np.flatnonzero(result.heads_alive).tolist():
            self.order = vector_order(self.ids, head, self.config, bool(job.generate))[2]
            query_heads = range(head * job.group, (head + 1) * job.group)
            first = [self._first(head, query_head) for query_head in query_heads]
            again = np.array([f.flat for f in first])
            # The list of a gang: near for one member, flat or not, is near for all.
            listed = [np.any([f.near[rows].any(axis=0) for f in first], axis=0) for rows in self.blocks]
            kept = np.array([self._query_head(head, query_head, f, listed, token_sums, head_sums)
                             for query_head, f in zip(query_heads, first, strict=True)])
            for rows, keys in zip(self.blocks, listed, strict=True):
                if again[:, rows].any():
                    result.lsb_keys[head, self.ids] |= keys
                # The last query of a block sees most.
                self.moved.gang(int(self.lengths[rows].max()), again[:, rows], kept[:, rows], int(keys.sum()))
        self._finish(token_sums, head_sums)
        return result

    def _rows(self) -> int:
        return self.job.query_rows if self.job.generate else len(self.ids)

    # -- one query head -------------------------------------------------------------------------------

    def _scaling(self, query_head: int) -> tuple[int, int, int]:
        """How its scores become exponents."""
        scale = self.job.scales[query_head]
        return scale.score_mant, scale.score_pre, scale.score_post

    @property
    def _place(self) -> np.ndarray:
        """Rows of the queries in Q and in the output."""
        return np.arange(self._rows()) if self.job.generate else self.ids

    def _first(self, head: int, query_head: int) -> _First:
        """The first pass of all its queries."""
        job, n = self.job, len(self.ids)
        q, k = self.q[query_head, self._place], self.k[head, self.ids]
        # Half an MSB step is added to V, not to K: see "Numbers" in docs/architecture.md.
        rough = scores(q, msb_operands(k >> job.k_lsb, job.k_lsb, midpoint=False))
        probs, pmax = softmax(rough, self.lengths, *self._scaling(query_head), self.config.max_tokens)
        again = np.zeros(len(q), dtype=bool)
        if job.k_lsb:
            again = np.asarray(flat(pmax, job.threshold), dtype=bool)
        near = np.arange(n) < self.lengths[:, None]
        if job.lsb_by_key:
            near = near_keys(rough, job.lsb_margin, self.lengths, *self._scaling(query_head))
        return _First(q, probs, again, near)

    def _query_head(self, head: int, query_head: int, first: _First, listed: list[np.ndarray], token_sums: np.ndarray,
                    head_sums: np.ndarray) -> np.ndarray:
        """The rest of all its queries; `listed` [alive] of each block: keys whose LSBs flat ones take. Returns the
        values used [rows, alive]."""
        job, result, again, place = self.job, self.result, first.flat, self._place
        k, v = self.k[head, self.ids], self.v[head, self.ids]
        probs = np.array(first.probs)
        for rows, keys in zip(self.blocks, listed, strict=True):
            flats = np.flatnonzero(again[rows]) + int(rows.start)
            if len(flats):
                # Exactly what the replay's sum of MSB and LSB scores gives; first probabilities are dropped.
                joined = k
                if job.lsb_by_key:
                    joined = partly_joined(k >> job.k_lsb, k & ((1 << job.k_lsb) - 1), keys, job.k_lsb)
                probs[flats] = softmax(scores(first.q[flats], joined), self.lengths[flats],
                                       *self._scaling(query_head), self.config.max_tokens)[0]
        kept = self._kept(probs)
        rough = msb_operands(v >> job.v_lsb, job.v_lsb, midpoint=True)
        acc = np.zeros((len(place), job.dim), dtype=np.int64)
        for which, values in ((~again, rough), (again, v)):
            if which.any():
                acc[which] = prob_value(probs[which], kept[which], values)
        scale = job.scales[query_head]
        mant, shift = np.array(scale.out_mant), np.array(scale.out_shift)
        if job.give_back:
            mant, shift = given_back(mant, shift, probs.sum(axis=1), np.where(kept, probs, 0).sum(axis=1))
        out = requantise(acc, mant[..., None], shift[..., None])

        token_sums += token_importance(probs)
        head_sums[head] += head_importance(out)
        result.out[query_head, place] = out
        result.written[query_head, place] = True
        result.refetched[query_head, place] = again
        result.kept[query_head, place] = kept.sum(axis=1)
        return kept

    def _kept(self, probs: np.ndarray) -> np.ndarray:
        """Values used [rows, alive]: the most probable, as many as the job keeps or as reach its share of the mass."""
        job, n = self.job, len(self.ids)
        if job.keep_values >= n and not job.mass_share:
            return np.arange(n) < self.lengths[:, None]
        keep: int | np.ndarray = min(job.keep_values, n)
        if job.mass_share:
            keep = np.minimum(keep, mass_counts(probs, job.mass_share))
        return kept_in_order(self.config.engine.golden_mask(), probs, keep, self.lengths, self.order)

    # -- state ----------------------------------------------------------------------------------------

    def _prepare(self, ids_in: np.ndarray | None, scores_in: np.ndarray | None) -> None:
        job, result = self.job, self.result
        self.cascade.prepare(job, ids_in, scores_in)
        if job.load_scores:
            self.moved.section(job.scores_in, job.tokens + job.heads, self.config.max_tokens)
        if job.load_ids:
            self.moved.section(job.ids_in, survivor_words(job.tokens, job.heads), self.config.max_tokens)
        result.tokens_alive[self.cascade.tokens_alive] = True
        result.heads_alive[self.cascade.heads_alive] = True

    def _finish(self, token_sums: np.ndarray, head_sums: np.ndarray) -> None:
        job, result = self.job, self.result
        self.cascade.finish(token_sums, head_sums)
        result.token_scores = self.cascade.token_scores[:job.tokens].copy()
        result.head_scores = self.cascade.head_scores[:job.heads].copy()
        if job.store_ids:
            result.ids = self.cascade.save_ids()
            self.moved.words(job.ids_out, len(result.ids))
        if job.store_scores:
            result.scores = self.cascade.save_scores(job.tokens, job.heads)
            self.moved.words(job.scores_out, len(result.scores))

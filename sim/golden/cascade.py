"""Cascade pruning: who is alive, and the importance that decides it (twin of prune/pruner.py).

Totals saturate at the build's widths; adding non-negative numbers one by one with saturation is
min(total, maximum), so the order of adds does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.config import SpAttenConfig


class CascadeError(ValueError):
    """The hardware ends the job with an error: a loaded or continued state does not fit it."""


def keep_best(scores: ArrayLike, keep: int, protected: ArrayLike | None = None) -> np.ndarray:
    """Ascending indices of the `keep` largest scores; protected ones first, ties to the lowest index."""
    s = np.asarray(scores, dtype=np.int64)
    p = np.zeros(len(s), dtype=bool) if protected is None else np.asarray(protected, dtype=bool)
    order = np.lexsort((np.arange(len(s)), -s, ~p))
    return np.sort(order[:keep])


def bitmap_words(limit: int) -> int:
    """64-bit words of a bitmap of `limit` bits."""
    return -(-limit // 64)


def to_bitmap(ids: ArrayLike, limit: int) -> list[int]:
    """Words of the bitmap of `ids` below `limit`: bit i of word w is id 64·w + i."""
    words = [0] * bitmap_words(limit)
    for n in np.asarray(ids, dtype=np.int64).tolist():
        words[n // 64] |= 1 << n % 64
    return words


def from_bitmap(words: list[int]) -> np.ndarray:
    """Ascending int64 ids of a bitmap's words."""
    return np.array([64 * at + n for at, word in enumerate(words) for n in range(64) if word >> n & 1], dtype=np.int64)


class Cascade:
    """State of one accelerator between layers.

    `tokens_alive`, `heads_alive`: ascending int64 arrays (empty after reset and after an error).
    `tokens`, `heads`: those of the job prepared last, as many bits as bitmaps that are saved have.
    `token_scores` int64 `[max_tokens]`, `head_scores` int64 `[max_heads]`: totals by id, 0 after reset.
    A job is an object or mapping with the names of `descriptor.FIELDS`.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = config
        self.token_max = (1 << config.token_score_bits) - 1
        self.head_max = (1 << config.head_score_bits) - 1
        self.token_scores = np.zeros(config.max_tokens, dtype=np.int64)
        self.head_scores = np.zeros(config.max_heads, dtype=np.int64)
        self.tokens = self.heads = 0
        self.forget()

    def forget(self) -> None:
        """Nothing is alive."""
        self.tokens_alive = np.zeros(0, dtype=np.int64)
        self.heads_alive = np.zeros(0, dtype=np.int64)

    def prepare(self, job: object, ids: ArrayLike | None = None, scores: ArrayLike | None = None) -> None:
        """Everything before a layer. `ids`, `scores`: the 64-bit words at ids_in, scores_in (may be longer)."""
        try:
            self._prepare(job, ids, scores)
        except CascadeError:
            self.forget()
            raise

    def _prepare(self, job: object, ids: ArrayLike | None, scores: ArrayLike | None) -> None:
        tokens, heads = self.tokens, self.heads = _get(job, "tokens"), _get(job, "heads")
        if _get(job, "clear_scores"):
            self.clear_scores()
        if _get(job, "load_scores"):
            if scores is None:
                raise CascadeError("load_scores without words to load")
            self.load_scores(scores, tokens, heads)
        if _get(job, "restart"):
            self.tokens_alive = np.arange(tokens, dtype=np.int64)
            self.heads_alive = np.arange(heads, dtype=np.int64)
        elif _get(job, "load_ids"):
            if ids is None:
                raise CascadeError("load_ids without words to load")
            self.load_ids(ids, tokens, heads)
        if not len(self.tokens_alive) or not len(self.heads_alive):
            raise CascadeError("nothing is alive: restart or load ids first")
        if self.tokens_alive[-1] >= tokens or self.heads_alive[-1] >= heads:
            raise CascadeError("continued cascade has a token or head that the job has not")

        keep = max(1, _get(job, "keep_tokens"))
        if keep < len(self.tokens_alive):
            a = self.tokens_alive
            protected = (a < _get(job, "protect_first")) | (a >= tokens - _get(job, "protect_last"))
            self.tokens_alive = a[keep_best(self.token_scores[a], keep, protected)]
        queries = _get(job, "queries", 0)
        if queries and not np.array_equal(self.tokens_alive[-queries:], np.arange(tokens - queries, tokens)):
            raise CascadeError("a token that is a query does not survive")
        keep = max(1, _get(job, "keep_heads"))
        if keep < len(self.heads_alive):
            self.heads_alive = self.heads_alive[keep_best(self.head_scores[self.heads_alive], keep)]

    def finish(self, token_sums: ArrayLike, head_sums: ArrayLike) -> None:
        """After a layer: Σ P by position in the alive list, Σ |out| by K/V head 0 … ."""
        if not len(self.tokens_alive):
            raise CascadeError("nothing is alive: no layer can have run")
        t = np.asarray(token_sums, dtype=np.int64)[:len(self.tokens_alive)]
        h = np.asarray(head_sums, dtype=np.int64)
        live = self.tokens_alive[:len(t)]
        self.token_scores[live] = np.minimum(self.token_scores[live] + t, self.token_max)
        self.head_scores[:len(h)] = np.minimum(self.head_scores[:len(h)] + h, self.head_max)

    def clear_scores(self) -> None:
        self.token_scores[:] = 0
        self.head_scores[:] = 0

    def save_ids(self) -> np.ndarray:
        """uint64 words as stored at ids_out: counts, then the bitmap of the job's tokens, then that of its heads."""
        header = len(self.tokens_alive) | len(self.heads_alive) << 32
        return np.array([header, *to_bitmap(self.tokens_alive, self.tokens),
                         *to_bitmap(self.heads_alive, self.heads)], dtype=np.uint64)

    def save_scores(self, tokens: int, heads: int) -> np.ndarray:
        """uint64 words as stored at scores_out."""
        return np.concatenate([self.token_scores[:tokens], self.head_scores[:heads]]).astype(np.uint64)

    def load_ids(self, words: ArrayLike, tokens: int, heads: int) -> None:
        """The inverse of `save_ids`, checked against the job; extra words are ignored."""
        w = [int(x) for x in np.asarray(words, dtype=np.uint64)]
        counts = w[0] & 0xFFFFFFFF, w[0] >> 32
        if not (1 <= counts[0] <= tokens and 1 <= counts[1] <= heads):
            raise CascadeError(f"saved state has {counts[0]} tokens and {counts[1]} heads, job {tokens} and {heads}")
        at, alive = 1, []
        for what, count, limit in (("token", counts[0], tokens), ("head", counts[1], heads)):
            size = bitmap_words(limit)
            ids = from_bitmap(w[at:at + size])
            if len(ids) != count or ids[-1] >= limit:
                raise CascadeError(f"saved {what}s are not {count} below {limit}")
            alive.append(ids)
            at += size
        self.tokens_alive, self.heads_alive = alive

    def load_scores(self, words: ArrayLike, tokens: int, heads: int) -> None:
        """The inverse of `save_scores`; totals past `tokens` and `heads` become 0, words saturate."""
        w = np.asarray(words, dtype=np.uint64)
        self.clear_scores()
        self.token_scores[:tokens] = np.minimum(w[:tokens], np.uint64(self.token_max)).astype(np.int64)
        self.head_scores[:heads] = np.minimum(w[tokens:tokens + heads],
                                              np.uint64(self.head_max)).astype(np.int64)


def _get(job: object, name: str, missing: int | None = None) -> int:
    """A field of a job; `missing`: what a mapping without it means."""
    if isinstance(job, Mapping):
        return int(job[name] if missing is None else job.get(name, missing))
    return int(getattr(job, name))

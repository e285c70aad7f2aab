"""The whole accelerator on integers, bit for bit: one layer job at a time, and the bytes it moves.

Joins the golden models of the blocks in the order of `docs/architecture.md`: prepare the cascade, then for each
alive K/V head its query heads over all queries at once, then finish. A result depends only on the job, the
operands and the state before; the bytes of words on their address, so the addresses of the job matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.host.job import LayerJob
from spatten_hw.host.results import BYTE_CLASSES, OPERAND_CLASSES
from spatten_hw.host.rows import row_beats
from spatten_hw.host.words import WORD_BYTES, survivor_words
from spatten_hw.interface.descriptor import HEADER_WORDS, SCALE_WORDS, scale_command_words

from .cascade import Cascade
from .decision import flat
from .fetch import msb_operands, touched_beats
from .head_importance import head_importance
from .kept import kept_in_order
from .order import vector_order
from .prob_value import prob_value
from .requantise import requantise
from .score import scores
from .softmax import softmax
from .token_importance import token_importance


@dataclass
class LayerResult:
    """What one job leaves behind. rows = tokens in summarisation (row i = token i), 1 in generation.

    `out` [query_heads, rows, D]: 0 where nothing is written; `written`, `refetched` [query_heads, rows];
    `tokens_alive` [tokens], `heads_alive` [heads]: as this layer used them; `bytes`: by class; `rows`: operand rows
    read, by class; `ids`, `scores`: the 64-bit words stored, if the job stores them. `token_scores` [tokens],
    `head_scores` [heads] int64: the cascade's totals after the layer, stored or not.
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

    @property
    def queries(self) -> int:
        """Query rows computed, over all heads (work items)."""
        return int(self.written.sum())


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


class _Run:
    """One job in progress."""

    def __init__(self, owner: GoldenAccelerator, job: LayerJob, q: np.ndarray, k: np.ndarray, v: np.ndarray):
        self.config, self.cascade, self.job = owner.config, owner.cascade, job
        self.q, self.k, self.v = q, k, v
        rows = 1 if job.generate else job.tokens
        self.result = LayerResult(
            out=np.zeros((job.query_heads, rows, job.dim), dtype=np.int64),
            written=np.zeros((job.query_heads, rows), dtype=bool),
            refetched=np.zeros((job.query_heads, rows), dtype=bool),
            tokens_alive=np.zeros(job.tokens, dtype=bool), heads_alive=np.zeros(job.heads, dtype=bool))

    def all(self, descriptor: int, ids_in: np.ndarray | None, scores_in: np.ndarray | None) -> LayerResult:
        job, result = self.job, self.result
        self._count_words(descriptor, HEADER_WORDS)
        self._count_section(descriptor + WORD_BYTES * HEADER_WORDS, SCALE_WORDS * job.query_heads,
                            scale_command_words(self.config))
        self._prepare(ids_in, scores_in)
        self.ids = np.flatnonzero(result.tokens_alive)
        self.lengths = np.full(self._rows(), len(self.ids), dtype=np.int64)
        if job.causal and not job.generate:
            self.lengths = np.arange(1, len(self.ids) + 1)
        token_sums = np.zeros(len(self.ids), dtype=np.int64)
        head_sums = np.zeros(job.heads, dtype=np.int64)
        for head in np.flatnonzero(result.heads_alive).tolist():
            self.order = vector_order(self.ids, head, self.config, bool(job.generate))[2]
            members = [self._query_head(head, head * job.group + member, token_sums, head_sums)
                       for member in range(job.group)]
            self._count_head(np.array([again for again, _ in members]), np.array([kept for _, kept in members]))
        self._finish(token_sums, head_sums)
        return result

    def _rows(self) -> int:
        return 1 if self.job.generate else len(self.ids)

    # -- one query head -------------------------------------------------------------------------------

    def _query_head(self, head: int, query_head: int, token_sums: np.ndarray, head_sums: np.ndarray
                    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes all its queries. Returns which of them fetched LSBs [rows], and the values used [rows, alive]."""
        job, c, result = self.job, self.config, self.result
        scale = job.scales[query_head]
        place = np.array([0]) if job.generate else self.ids  # row of the query in Q and in the output
        q, k, v = self.q[query_head, place], self.k[head, self.ids], self.v[head, self.ids]

        def probabilities(of_q: np.ndarray, keys: np.ndarray, lengths: np.ndarray):
            return softmax(scores(of_q, keys), lengths, scale.score_mant, scale.score_pre, scale.score_post,
                           c.max_tokens)

        # Half an MSB step is added to V, not to K: see "Numbers" in docs/architecture.md.
        probs, pmax = probabilities(q, msb_operands(k >> job.k_lsb, job.k_lsb, midpoint=False), self.lengths)
        again = np.zeros(len(place), dtype=bool)
        if job.k_lsb:
            again = np.asarray(flat(pmax, job.threshold), dtype=bool)
            if again.any():
                # Exactly what the replay's sum of MSB and LSB scores gives; first probabilities are dropped.
                probs = np.array(probs)
                probs[again] = probabilities(q[again], k, self.lengths[again])[0]
        if job.keep_values < len(self.ids):
            kept = kept_in_order(c.engine.golden_mask(), probs, job.keep_values, self.lengths, self.order)
        else:  # the same mask without sorting
            kept = np.arange(len(self.ids)) < self.lengths[:, None]
        rough = msb_operands(v >> job.v_lsb, job.v_lsb, midpoint=True)
        acc = np.zeros((len(place), job.dim), dtype=np.int64)
        for rows, values in ((~again, rough), (again, v)):
            if rows.any():
                acc[rows] = prob_value(probs[rows], kept[rows], values)
        out = requantise(acc, scale.out_mant, scale.out_shift)

        token_sums += token_importance(probs)
        head_sums[head] += head_importance(out)
        result.out[query_head, place] = out
        result.written[query_head, place] = True
        result.refetched[query_head, place] = again
        return again, kept

    # -- state ----------------------------------------------------------------------------------------

    def _prepare(self, ids_in: np.ndarray | None, scores_in: np.ndarray | None) -> None:
        job, result = self.job, self.result
        self.cascade.prepare(job, ids_in, scores_in)
        if job.load_scores:
            self._count_section(job.scores_in, job.tokens + job.heads, self.config.max_tokens)
        if job.load_ids:
            # The numbers are looked at before the bitmaps are asked for.
            self._count_words(job.ids_in, 1)
            self._count_section(job.ids_in + WORD_BYTES, survivor_words(job.tokens, job.heads) - 1,
                                self.config.max_tokens)
        result.tokens_alive[self.cascade.tokens_alive] = True
        result.heads_alive[self.cascade.heads_alive] = True

    def _finish(self, token_sums: np.ndarray, head_sums: np.ndarray) -> None:
        job, result = self.job, self.result
        self.cascade.finish(token_sums, head_sums)
        result.token_scores = self.cascade.token_scores[:job.tokens].copy()
        result.head_scores = self.cascade.head_scores[:job.heads].copy()
        if job.store_ids:
            result.ids = self.cascade.save_ids()
            self._count_words(job.ids_out, len(result.ids))
        if job.store_scores:
            result.scores = self.cascade.save_scores(job.tokens, job.heads)
            self._count_words(job.scores_out, len(result.scores))

    # -- bytes ----------------------------------------------------------------------------------------

    def _count_head(self, again: np.ndarray, kept: np.ndarray) -> None:
        """Counts the rows that the query heads of a K/V head read. `again` [group, rows]: queries that fetched LSBs;
        `kept` [group, rows, alive]: values used. Rows of K and V are shared by all of them."""
        job, keys = self.job, len(self.ids)
        flat_queries = int(again.sum())
        # A flat query of a prompt starts anew, with its Q row.
        self._count_rows("q", again.size + (0 if job.generate else flat_queries))
        self._count_rows("k_msb", keys)
        self._count_rows("k_lsb", keys if flat_queries else 0)
        if job.generate:
            self._count_rows("v_msb", int(kept.any(axis=(0, 1)).sum()))
            v_lsb = int(kept[again].any(axis=0).sum())
        else:
            self._count_rows("v_msb", keys)
            v_lsb = keys if flat_queries else 0
        self._count_rows("v_lsb", v_lsb if job.v_lsb else 0)
        self.result.bytes["out"] += again.size * row_beats(job.dim, OUT_BITS, self.config) * self.config.beat_bytes

    def _count_rows(self, name: str, rows: int) -> None:
        """Counts rows of one plane and their bytes: whole beats."""
        job, c = self.job, self.config
        self.result.bytes[name] += rows * row_beats(job.dim, job.width(name), c) * c.beat_bytes
        self.result.rows[name] += rows

    def _count_section(self, addr: int, words: int, longest: int) -> None:
        """Adds the bytes of words that are read in commands of at most `longest`."""
        for at in range(0, words, longest):
            self._count_words(addr + WORD_BYTES * at, min(longest, words - at))

    def _count_words(self, addr: int, words: int) -> None:
        """Adds the bytes of `words` 64-bit words read as one command, or written as one section, at `addr`."""
        beats = int(touched_beats(addr, WORD_BYTES * words, self.config))
        self.result.bytes["other"] += beats * self.config.beat_bytes

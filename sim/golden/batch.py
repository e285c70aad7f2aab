"""The accelerator's integers for many sequences at once, equal to `GoldenAccelerator` bit for bit.

One job for all sequences, in lockstep: (a) a step of generation, (b) a prompt, (c) one sentence, all heads together.
The blocks' models take leading axes; here are the joints between them. Generation multiplies the rows of all tokens and
picks the survivors' scores, which is cheaper than copying the survivors' rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import LayerJob

from .batch_bytes import Traffic
from .batch_cascade import BatchCascade
from .batch_operands import Rows
from .batch_part import Part, pieces
from .decision import flat
from .give_back import given_back
from .kept import generation_orders, kept_in_order, prompt_orders
from .layer_result import LayerResult
from .mass import mass_counts
from .requantise import requantise

#: Probabilities worked on at a time, to bound memory.
LARGEST = 1 << 23
_NONE = np.zeros(0, dtype=np.int64)

#: Called with the probabilities of every row from K's MSBs and from all bits of K [rows, n], and pmax of the former.
Watch = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


@dataclass
class BatchResult:
    """What a job leaves behind, as `LayerResult` with a leading axis of sequences; bytes and rows are int64
    [sequences]. `pmax` [sequences, alive query heads, rows]: largest probability from K's MSBs alone, LSB 2^−12.
    `macs`: multiply-accumulates of every sequence in Q×K, again for rows with LSBs, and in Prob×V. `kept` [sequences,
    query heads, rows]: values used; `lsb_keys` [sequences, heads, tokens]: keys whose LSBs were read."""

    job: LayerJob
    out: np.ndarray
    written: np.ndarray
    refetched: np.ndarray
    tokens_alive: np.ndarray
    heads_alive: np.ndarray
    pmax: np.ndarray
    bytes: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    token_scores: np.ndarray
    head_scores: np.ndarray
    kept: np.ndarray
    lsb_keys: np.ndarray
    macs: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def joined(cls, results: Sequence[BatchResult]) -> BatchResult:
        """The results of one job for some sequences each as one."""
        if len(results) == 1:
            return results[0]

        def join(name: str) -> Any:
            first = getattr(results[0], name)
            if isinstance(first, dict):
                return {key: np.concatenate([getattr(r, name)[key] for r in results]) for key in first}
            return first if name == "job" else np.concatenate([getattr(r, name) for r in results])
        return cls(**{f.name: join(f.name) for f in fields(cls)})

    def one(self, sequence: int) -> LayerResult:
        """The result of one sequence, without the words of state it stored."""
        b = sequence
        return LayerResult(self.out[b], self.written[b], self.refetched[b], self.tokens_alive[b], self.heads_alive[b],
                           {name: int(n[b]) for name, n in self.bytes.items()},
                           {name: int(n[b]) for name, n in self.rows.items()},
                           token_scores=self.token_scores[b], head_scores=self.head_scores[b], kept=self.kept[b],
                           lsb_keys=self.lsb_keys[b])


class BatchAccelerator:
    """`sequences` accelerators of `config` in lockstep; their state between jobs is `cascade`.

    `watch`, if set, sees every row's probabilities (it costs the second half of every score).
    """

    def __init__(self, config: SpAttenConfig, sequences: int):
        self.config = config
        self.cascade = BatchCascade(config, sequences)
        self.watch: Watch | None = None

    def run(self, job: LayerJob, q: np.ndarray, k: Rows, v: Rows, *, descriptor: int = 0) -> BatchResult:
        """Runs `job` on q int64 [sequences, query_heads, rows, D] and K, V of `job.tokens` tokens (`key_rows`,
        `value_rows`). Jobs that load state are refused (`ValueError`)."""
        self.cascade.prepare(job)
        heads, ids = self.cascade.heads_alive, self.cascade.tokens_alive
        done = [self._attend(job, q[s], k.sequences(s), v.sequences(s), heads[s], ids[s], descriptor)
                for s in pieces(job, heads, ids, LARGEST)]
        self.cascade.finish(*(np.concatenate([sums[i] for _, sums in done]) for i in range(2)))
        result = BatchResult.joined([piece for piece, _ in done])
        result.token_scores = self.cascade.token_scores[:, :job.tokens].copy()
        result.head_scores = self.cascade.head_scores[:, :job.heads].copy()
        return result

    def _attend(self, job: LayerJob, q: np.ndarray, k: Rows, v: Rows, heads: np.ndarray, ids: np.ndarray,
                descriptor: int) -> tuple[BatchResult, tuple[np.ndarray, np.ndarray]]:
        """The job of some of the sequences, without its scores, and what it adds to those of tokens and heads."""
        rows = 1 if job.generate else ids.shape[1]
        causal = job.causal and not job.generate
        lengths = np.arange(1, rows + 1) if causal else np.full(rows, ids.shape[1])
        part = Part(job, self.config, heads, ids, lengths)
        scores = part.scorer(q, k)
        probs, pmax, again, listed = self._probabilities(part, scores, q)
        kept = self._kept(part, probs)
        weights = np.where(kept, probs, 0)
        rough, exact = part.weigh(weights, v)
        acc = np.where(again[..., None], exact, rough)
        mant, shift = part.scale("out_mant"), part.scale("out_shift")
        if job.give_back:
            mant, shift = given_back(mant, shift, probs.sum(axis=-1), weights.sum(axis=-1))
        out = requantise(acc, mant[..., None], shift[..., None])
        traffic = Traffic(self.config, job, heads, ids)
        traffic.all(again, kept, listed, descriptor)
        tokens, alive_heads = part.masks()
        result = BatchResult(
            job, part.spread(out), part.spread(np.ones(again.shape, dtype=bool)), part.spread(again), tokens,
            alive_heads, pmax.reshape(len(ids), -1, rows), traffic.bytes, traffic.rows, _NONE, _NONE,
            part.spread(kept.sum(axis=-1)), part.spread_keys(listed), part.macs(again, kept, listed))
        return result, (probs.sum(axis=(1, 2, 3)), np.abs(out).sum(axis=(2, 3, 4)))

    def _kept(self, part: Part, probs: np.ndarray) -> np.ndarray:
        """Values used [sequences, heads, group, rows, n]."""
        job, lengths, n = part.job, part.lengths, probs.shape[-1]
        if job.keep_values >= n and not job.mass_share:
            return np.broadcast_to(np.arange(n) < lengths[:, None], probs.shape)
        orders = (generation_orders(part.ids, part.heads, self.config) if job.generate
                  else prompt_orders(n, part.heads, self.config))
        keep: int | np.ndarray = min(job.keep_values, n)
        if job.mass_share:
            keep = np.minimum(keep, mass_counts(probs, job.mass_share))
        return kept_in_order(self.config.engine.golden_mask(), probs, keep, lengths, orders[:, :, None, None])

    def _probabilities(self, part: Part, scores: Callable[[bool], np.ndarray], q: np.ndarray
                       ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Final probabilities [sequences, heads, group, rows, n], pmax from K's MSBs, which rows took LSBs, of which
        keys [sequences, heads, n]."""
        job = part.job
        rough = scores(True)
        probs, pmax = part.softmax(rough)
        again = np.zeros(pmax.shape, dtype=bool)
        if job.k_lsb:
            again = np.asarray(flat(pmax, job.threshold), dtype=bool)
        if self.watch is not None:
            n = probs.shape[-1]
            self.watch(probs.reshape(-1, n), part.softmax(scores(False))[0].reshape(-1, n), pmax.reshape(-1))
        # The list of a gang that has a flat member.
        flat_gangs = np.asarray(again.any(axis=(2, 3)))
        listed = np.broadcast_to(flat_gangs[..., None], (*again.shape[:2], probs.shape[-1]))
        if again.any():
            exact = scores(False)
            if job.lsb_by_key:
                listed = listed & part.near(rough, job.lsb_margin).any(axis=(2, 3))
                middle = part.query_sums(q)[..., None] << job.k_lsb >> 1
                exact = np.where(listed[:, :, None, None], exact - middle, rough)
            if again.all():
                probs, _ = part.softmax(exact)
            else:
                probs[again] = part.softmax(exact, again)[0]
        return probs, pmax, again, listed

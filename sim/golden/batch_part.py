"""One job of a batch: the survivors' scores and sums, picked out of all rows and put back at their places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import LayerJob

from .batch_operands import Rows, pick
from .near import near_keys
from .softmax import softmax


def pieces(job: LayerJob, heads: np.ndarray, ids: np.ndarray, largest: int) -> list[slice]:
    """Sequences to be worked on at a time, so that at most `largest` probabilities are there (at least one sequence's);
    heads [sequences, alive] and ids [sequences, alive] are alive."""
    rows = 1 if job.generate else ids.shape[1]
    step = max(1, largest // (heads.shape[1] * job.group * rows * ids.shape[1]))
    return [slice(at, at + step) for at in range(0, len(ids), step)]


@dataclass
class Part:
    """What is alive in a job: heads [sequences, alive], ids [sequences, alive]; `lengths` [rows]: keys of each query.

    `exact` false: operands are real numbers, and so are scores and sums.
    """

    job: LayerJob
    config: SpAttenConfig
    heads: np.ndarray
    ids: np.ndarray
    lengths: np.ndarray
    exact: bool = True

    @property
    def everyone(self) -> bool:
        return self.ids.shape[1] == self.job.tokens and self.heads.shape[1] == self.job.heads

    def scale(self, name: str) -> np.ndarray:
        """A field of the scale table [sequences, heads, group, 1], for rows."""
        table = np.array([getattr(s, name) for s in self.job.scales], dtype=np.int64)
        return table.reshape(self.job.heads, self.job.group)[self.heads][..., None]

    def softmax(self, scores: np.ndarray, chosen: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and pmax of scores [sequences, heads, group, rows, n]; `chosen` [… , rows]: of those rows."""
        lengths, mant, pre, post = self._scaling(scores.shape[:-1])
        if chosen is not None:
            scores, lengths, mant, pre, post = (x[chosen] for x in (scores, lengths, mant, pre, post))
        return softmax(scores, lengths, mant, pre, post, self.config.max_tokens)

    def near(self, scores: np.ndarray, margin: int) -> np.ndarray:
        """Keys near the largest of scores [sequences, heads, group, rows, n]."""
        return near_keys(scores, margin, *self._scaling(scores.shape[:-1]))

    def _scaling(self, lead: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Lengths of vectors of shape `lead` and how their scores become exponents."""
        # Scales have no axis of rows, lengths no other one.
        lengths, mant, pre, post = (np.broadcast_to(x, lead) for x in (
            self.lengths, *(self.scale(name) for name in ("score_mant", "score_pre", "score_post"))))
        return lengths, mant, pre, post

    def query_sums(self, q: np.ndarray) -> np.ndarray:
        """Σ of the elements of every alive query head's only query [sequences, heads, group, 1] (generation)."""
        sums = q.sum(axis=-1).reshape(len(q), self.job.heads, self.job.group, 1)
        return sums[np.arange(len(q))[:, None], self.heads]

    def scorer(self, q: np.ndarray, k: Rows) -> Callable[[bool], np.ndarray]:
        """A function that gives the exact scores of what is alive, from K's MSBs (True) or from all its bits."""
        sequences, _, rows, dim = q.shape
        grouped = q.reshape(sequences, self.job.heads, self.job.group, rows, dim)
        if not self.job.generate and not self.everyone:
            sequence = np.arange(sequences)[:, None, None, None]
            place = self.ids[:, None, None, :]
            member = np.arange(self.job.group)[:, None]
            grouped = grouped[sequence, self.heads[:, :, None, None], member, place]
            k = k.pick(self.heads, self.ids)
        shape = (*grouped.shape[:4], k.full.shape[2])
        queries = grouped.reshape(*grouped.shape[:2], -1, dim).astype(k.full.dtype)

        def scores(rough: bool) -> np.ndarray:
            product = queries @ (k.rough if rough else k.full).swapaxes(-1, -2)
            of_all = (product.astype(np.int64) if self.exact else product).reshape(shape)
            return self._alive(of_all) if self.job.generate and not self.everyone else of_all
        return scores

    def _alive(self, scores: np.ndarray) -> np.ndarray:
        """Scores [sequences, all heads, group, 1, all tokens] of what is alive."""
        moved = np.moveaxis(scores, -1, 2)  # [sequences, heads, tokens, group, 1]
        return np.ascontiguousarray(np.moveaxis(pick(moved, self.heads, self.ids), 2, -1))

    def weigh(self, weights: np.ndarray, v: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Sums of V weighted by probabilities [sequences, heads, group, rows, n], from V's MSBs and from all its bits:
        [sequences, heads, group, rows, D]."""
        job, lead = self.job, weights.shape[:4]
        wide = job.generate and not self.everyone
        if wide:
            everywhere = np.zeros((lead[0], job.heads, job.tokens, job.group, 1), dtype=v.full.dtype)
            everywhere[np.arange(lead[0])[:, None, None], self.heads[:, :, None], self.ids[:, None, :]] \
                = np.moveaxis(weights, -1, 2)
            operand = np.moveaxis(everywhere, 2, -1).reshape(lead[0], job.heads, -1, job.tokens)
        else:
            v = v if self.everyone else v.pick(self.heads, self.ids)
            operand = weights.reshape(*lead[:2], -1, weights.shape[4]).astype(v.full.dtype)

        def sums(values: np.ndarray) -> np.ndarray:
            product = operand @ values
            if wide:
                product = product[np.arange(lead[0])[:, None], self.heads]
            product = product.reshape(*lead, job.dim)
            return product.astype(np.int64) if self.exact else product

        rough = sums(v.rough)
        return rough, rough if v.full is v.rough else sums(v.full)

    def spread(self, x: np.ndarray) -> np.ndarray:
        """x [sequences, alive heads, group, alive rows, …] at its place: [sequences, query_heads, rows, …], else 0."""
        job, sequences = self.job, len(self.ids)
        rows, tail = 1 if job.generate else job.tokens, x.shape[4:]
        place = np.zeros((sequences, 1), dtype=np.int64) if job.generate else self.ids
        full = np.zeros((sequences, job.heads, rows, job.group, *tail), dtype=x.dtype)
        full[np.arange(sequences)[:, None, None], self.heads[:, :, None], place[:, None, :]] = np.moveaxis(x, 3, 2)
        return np.moveaxis(full, 3, 2).reshape(sequences, job.query_heads, rows, *tail)

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens [sequences, tokens] and heads [sequences, heads] that are alive."""
        tokens = np.zeros((len(self.ids), self.job.tokens), dtype=bool)
        heads = np.zeros((len(self.ids), self.job.heads), dtype=bool)
        np.put_along_axis(tokens, self.ids, True, axis=1)
        np.put_along_axis(heads, self.heads, True, axis=1)
        return tokens, heads

    def spread_keys(self, listed: np.ndarray) -> np.ndarray:
        """Masks [sequences, alive heads, alive tokens] at their places: [sequences, heads, tokens]."""
        full = np.zeros((len(self.ids), self.job.heads, self.job.tokens), dtype=bool)
        full[np.arange(len(self.ids))[:, None, None], self.heads[:, :, None], self.ids[:, None, :]] = listed
        return full

    def macs(self, again: np.ndarray, kept: np.ndarray, listed: np.ndarray) -> dict[str, np.ndarray]:
        """Multiply-accumulates [sequences] of Q×K, of its replays with LSBs, and of Prob×V."""
        if self.job.generate:  # one query per head: the keys of its list
            replays = (again.sum(axis=(2, 3)) * listed.sum(axis=2)).sum(axis=1)
        else:
            replays = (again * self.lengths).sum(axis=(1, 2, 3))
        keys = self.heads.shape[1] * self.job.group * int(self.lengths.sum())
        return {"scores": np.full(len(self.ids), keys * self.job.dim),
                "replays": replays * self.job.dim,
                "values": kept.sum(axis=(1, 2, 3, 4)) * self.job.dim}

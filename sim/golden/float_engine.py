"""The accelerator's control path in float64: what SpAtten's algorithm gives without any quantisation.

Same order of pruning, attention and importance as `accelerator.py` (SpAtten, section III), on real numbers:
the difference of the two is quantisation error, or a bug. There are no LSBs here, so nothing is refetched.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.host.results import LayerStats, Outputs
from spatten_hw.host.workload import Workload

from .mass import MASS_ONE, mass_counts_float


def keep_largest(scores: np.ndarray, candidates: np.ndarray, count: int | None,
                 protected: np.ndarray | None = None) -> np.ndarray:
    """Mask of the `count` largest `candidates` (all if None), ties to the lowest index.

    `protected` candidates come first, and are kept even if they alone exceed `count`.
    """
    if count is None or count >= int(candidates.sum()):
        return candidates.copy()
    safe = candidates & protected if protected is not None else np.zeros_like(candidates)
    rest = np.flatnonzero(candidates & ~safe)
    room = max(0, count - int(safe.sum()))
    best = rest[np.argsort(-scores[rest], kind="stable")[:room]]
    kept = safe.copy()
    kept[best] = True
    return kept


def protected_tokens(tokens: int, first: int, last: int) -> np.ndarray:
    """Mask of the first `first` and the last `last` of `tokens` tokens."""
    ids = np.arange(tokens)
    return (ids < first) | (ids >= tokens - last)


def not_later(rows: int, keys: int) -> np.ndarray:
    """Causal mask [rows, keys]: the rows are the queries of the last keys, each sees keys up to its own."""
    return np.arange(keys) <= np.arange(keys - rows, keys)[:, None]


def attention_probabilities(q: np.ndarray, k: np.ndarray, causal: bool) -> np.ndarray:
    """softmax(q kᵀ / sqrt(D)) of [nq, D] and [n, D]; causal: see `not_later`."""
    scores = q @ k.T / np.sqrt(q.shape[1])
    if causal:
        scores = np.where(not_later(*scores.shape), scores, -np.inf)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def prune_values(probs: np.ndarray, count: int | None, causal: bool, mass: float = 0.0) -> np.ndarray:
    """Mask of the `count` largest probabilities of every row, ties to the lowest key, masked keys never; with `mass` of
    no more than reach this share of the row's sum."""
    visible = not_later(*probs.shape) if causal else np.ones(probs.shape, dtype=bool)
    n = probs.shape[1]
    if not mass and (count is None or count >= n):
        return visible
    keep = np.full(len(probs), n if count is None else count)
    if mass:
        keep = np.minimum(keep, mass_counts_float(probs, mass))
    order = np.argsort(np.where(visible, -probs, np.inf), axis=1, kind="stable")
    kept = np.zeros(probs.shape, dtype=bool)
    np.put_along_axis(kept, order, np.arange(n) < keep[:, None], axis=1)
    return kept & visible


def weigh(probs: np.ndarray, v: np.ndarray, keep_values: int | None, causal: bool, mass: float = 0.0,
          give_back: bool = False) -> np.ndarray:
    """Outputs [nq, D] of probabilities [nq, n] over rows v [n, D]; `give_back`: times all of them / the kept ones."""
    kept = np.where(prune_values(probs, keep_values, causal, mass), probs, 0.0)
    out = kept @ v
    return out * (probs.sum(axis=1) / kept.sum(axis=1))[:, None] if give_back else out


def attend(q: np.ndarray, k: np.ndarray, v: np.ndarray, keep_values: int | None, causal: bool, mass: float = 0.0,
           give_back: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Outputs [nq, D] of a head over alive rows q [nq, D], k, v [n, D], and the importance [n] it gives the tokens."""
    probs = attention_probabilities(q, k, causal)
    return weigh(probs, v, keep_values, causal, mass, give_back), probs.sum(axis=0)


def run_float(w: Workload) -> Outputs:
    """The whole workload in float64."""
    result = Outputs.empty(w)
    token_scores = np.zeros(w.shape.tokens) if w.token_scores is None else w.token_scores.copy()
    head_scores = np.zeros(w.shape.kv_heads) if w.head_scores is None else w.head_scores.copy()
    for step in range(w.steps):
        tokens = w.tokens_at(step)
        alive = np.ones(tokens, dtype=bool)
        heads = np.ones(w.shape.kv_heads, dtype=bool)
        for layer in range(w.shape.layers):
            o = w.options
            alive = keep_largest(token_scores[:tokens], alive, o.keep_tokens[step][layer],
                                 protected_tokens(tokens, o.protect_first, o.protect_last))
            heads = keep_largest(head_scores, heads, o.keep_heads[step][layer])
            _layer(w, step, layer, alive, heads, token_scores, head_scores, result)
    result.token_scores[:] = token_scores
    result.head_scores[:] = head_scores
    return result


def _layer(w: Workload, step: int, layer: int, alive: np.ndarray, heads: np.ndarray,
           token_scores: np.ndarray, head_scores: np.ndarray, result: Outputs) -> None:
    """Attention of one layer over what is alive; adds to the scores."""
    s, o = w.shape, w.options
    ids = np.flatnonzero(alive)
    own = w.rows(step)
    queries = np.arange(own.start, own.stop) if o.generate else ids
    causal = o.generate or o.causal
    rows = len(queries) if o.generate else len(alive)
    out = np.zeros((s.query_heads, rows, s.dim))
    for head in np.flatnonzero(np.repeat(heads, s.group)):
        kv = head // s.group
        q, k, v = w.real["q"][layer, head, queries], w.real["k"][layer, kv, ids], w.real["v"][layer, kv, ids]
        values, importance = attend(q, k, v, o.keep_values[step][layer], causal,
                                    o.rules.mass_share / MASS_ONE, o.rules.give_back)
        token_scores[ids] += importance
        head_scores[kv] += np.abs(values).sum()
        out[head, np.arange(rows) if o.generate else ids] = values
    count = int(heads.sum()) * s.group * len(queries)
    stats = LayerStats(step, layer, len(ids), int(heads.sum()), count, 0)
    result.put(stats, out, np.zeros(out.shape[:2], dtype=bool), alive, heads, token_scores, head_scores)

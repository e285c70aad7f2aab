"""Softmax on exact integer scores, as `spatten_hw/softmax/` computes it, and in float64."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from spatten_hw.sim.golden.decision import largest
from spatten_hw.sim.golden.exp2 import exp2
from spatten_hw.sim.golden.normalise import normalise
from spatten_hw.sim.golden.numerics import round_shift
from spatten_hw.sim.golden.reciprocal import reciprocal
from spatten_hw.softmax.formats import D_BITS, M_FRACTION, Y_BITS, sum_fraction

#: Elements worked on at a time: what the caches of a processor hold.
CHUNK = 1 << 15


def softmax(scores: ArrayLike, lengths: ArrayLike, mant: ArrayLike, pre: ArrayLike, post: ArrayLike,
            max_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (LSB 2^−12) and their maximum.

    `scores` int64 [..., rows, n]; the first `lengths` [..., rows] of each row live, the others get 0; the
    scale (`mant`, `pre`, `post`) broadcasts to [..., rows]; `max_tokens` of the build sets the sum's fraction
    bits. Returns (probs int64 [..., rows, n], pmax int64 [..., rows]); an empty row gives zeros.
    """
    s = np.asarray(scores, dtype=np.int64)
    lead, n = s.shape[:-1], s.shape[-1]
    flat = s.reshape(int(np.prod(lead, dtype=np.int64)), n)
    length, mant_, pre_, post_ = (
        np.broadcast_to(np.asarray(a, dtype=np.int64), lead).reshape(-1) for a in (lengths, mant, pre, post))
    probs = np.zeros(flat.shape, dtype=np.int64)
    pmax = np.zeros(len(flat), dtype=np.int64)
    if n:
        step = max(1, CHUNK // n)
        for at in range(0, len(flat), step):
            part = slice(at, at + step)
            # Queries of a causal prompt see the first keys alone.
            seen = max(1, int(length[part].max()))
            probs[part, :seen], pmax[part] = _rows(flat[part, :seen], length[part], mant_[part], pre_[part],
                                                   post_[part], max_tokens)
    return probs.reshape(s.shape), pmax.reshape(lead)


def exponents(scores: ArrayLike, lengths: ArrayLike, mant: ArrayLike, pre: ArrayLike, post: ArrayLike) -> np.ndarray:
    """y of every score, 14 fraction bits: how far it lies below its row's largest, in octaves, saturated. Arguments as
    in `softmax`; scores that are not there have no meaning."""
    s = np.asarray(scores, dtype=np.int64)
    length, mant_, pre_, post_ = (
        np.broadcast_to(np.asarray(a, dtype=np.int64), s.shape[:-1])[..., None] for a in (lengths, mant, pre, post))
    live = np.arange(s.shape[-1]) < length
    top = np.where(live, s, np.iinfo(np.int64).min).max(axis=-1, keepdims=True)
    return _exponents(np.where(live, top - s, 0), mant_, pre_, post_)


def _exponents(below: np.ndarray, mant: np.ndarray, pre: np.ndarray, post: np.ndarray) -> np.ndarray:
    scaled = np.minimum(round_shift(below, pre), (1 << D_BITS) - 1)
    scaled *= mant
    return np.minimum(round_shift(scaled, post), (1 << Y_BITS) - 1)


def _rows(scores: np.ndarray, length: np.ndarray, mant: np.ndarray, pre: np.ndarray, post: np.ndarray,
          max_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    filled = length > 0
    live = None if length.min() == scores.shape[1] else np.arange(scores.shape[1]) < length[:, None]
    if live is None:
        below = scores.max(axis=1, keepdims=True) - scores
    else:
        top = np.where(live, scores, np.iinfo(np.int64).min).max(axis=1, keepdims=True)
        below = np.where(live, top - scores, 0)
    y = _exponents(below, mant[:, None], pre[:, None], post[:, None])
    fraction = sum_fraction(max_tokens)
    terms = _terms(fraction)[y]
    if live is not None:
        terms = np.where(live, terms, 0)
    r, k = reciprocal(np.where(filled, terms.sum(axis=1), np.int64(1) << fraction), fraction)
    m, i = exp2(y)
    probs = normalise(m, i, r[:, None], k[:, None])
    return probs if live is None else np.where(live, probs, 0), np.where(filled, largest(r, k), 0)


@cache
def _terms(fraction: int) -> np.ndarray:
    """What every exponent y adds to the sum, which has `fraction` fraction bits."""
    m, i = exp2(np.arange(1 << Y_BITS))
    return round_shift(m << (fraction - M_FRACTION), i)


def softmax_float(scores: ArrayLike, lengths: ArrayLike, c: ArrayLike) -> np.ndarray:
    """float64 softmax to base 2 of c·score, shapes as in `softmax`; c broadcasts to [..., rows]."""
    s = np.asarray(scores, dtype=np.int64)
    lead, n = s.shape[:-1], s.shape[-1]
    live = np.arange(n) < np.broadcast_to(np.asarray(lengths), lead)[..., None]
    if n == 0:
        return np.zeros(s.shape)
    top = np.where(live, s, np.iinfo(np.int64).min).max(axis=-1, keepdims=True)
    scale = np.broadcast_to(np.asarray(c, dtype=np.float64), lead)[..., None]
    e = np.where(live, np.exp2(-scale * np.where(live, top - s, 0)), 0.0)
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total > 0, total, 1.0)

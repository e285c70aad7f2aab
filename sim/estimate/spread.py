"""How unevenly the slices are loaded: tokens of a generation job by slice, exact or expected."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from spatten_hw.config import SpAttenConfig

from .work import CLASSES, Work


def normal_scores(count: int) -> np.ndarray:
    """Deviations that `count` draws of N(0, 1) have on average, in a fixed order that puts no two large ones
    together."""
    scores = np.array([NormalDist().inv_cdf((n + 0.5) / count) for n in range(count)])
    return np.random.default_rng(5).permutation(scores)


def class_counts(work: Work, config: SpAttenConfig) -> np.ndarray:
    """Tokens alive by slice [N, S] for head 0; head h has them turned by h. Those of `Work.classes`; where these are
    not known, what a choice by chance out of the context gives on average."""
    s = config.slices
    exact = work.classes.reshape(len(work), CLASSES // s, s).sum(axis=1)
    n, context = work.tokens[:, None], work.context[:, None]
    lanes = np.arange(s)
    all_alive = np.floor((n - lanes + s - 1) / s)
    deviation = np.sqrt(np.maximum(0, n / s * (1 - 1 / s) * (context - n) / np.maximum(1, context - 1)))
    expected = np.clip(n / s + deviation * normal_scores(s), 0, n)
    # A vector has whole keys, and the fullest slice one at least.
    return np.where(np.isnan(exact), np.where(n >= context, all_alive, expected), exact)


def fullest(work: Work, config: SpAttenConfig) -> np.ndarray:
    """Keys of the fullest slice over those of the mean slice, of a generation job as a whole (heads turned)."""
    counts, s = class_counts(work, config), config.slices
    heads = np.rint(work.heads).astype(int)
    total = np.zeros_like(counts)
    for h in range(min(s, int(heads.max(initial=0)))):
        # Heads h, h + S, h + 2S … are turned alike.
        times = np.maximum(0, (heads - h + s - 1) // s)
        total += times[:, None] * np.roll(counts, h, axis=1)
    mean = np.maximum(total.mean(axis=1), 1e-9)
    return total.max(axis=1) / mean

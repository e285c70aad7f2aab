"""Accuracy, AUC and their intervals, each against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from spatten_hw.sim.evaluate.spread import DRAWS
from spatten_hw.sim.evaluate.verdicts import auc, lost_intervals

RNG = np.random.default_rng(7)
TRUTH = RNG.random(60) < 0.6
THEIRS = np.round(RNG.standard_normal(60) + 1.2 * TRUTH, 1)
OURS = np.round(THEIRS + 0.8 * RNG.standard_normal(60), 1)


def test_auc_counts_pairs():
    pairs = [(a, b) for a in OURS[TRUTH] for b in OURS[~TRUTH]]
    assert auc(OURS, TRUTH) == pytest.approx(sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs))
    assert auc(np.array([1.0, 1.0, 0.0]), np.array([True, False, False])) == 0.75
    assert auc(TRUTH * 1.0, TRUTH) == 1 and auc(-1.0 * TRUTH, TRUTH) == 0 and auc(np.zeros(60), TRUTH) == 0.5


def test_nothing_lost_has_no_interval():
    assert lost_intervals(OURS, OURS, TRUTH) == {"auc": (0.0, 0.0), "accuracy": (0.0, 0.0)}


def test_intervals_are_those_of_texts_drawn_one_by_one():
    rng = np.random.default_rng(1)
    positive, negative = np.flatnonzero(TRUTH), np.flatnonzero(~TRUTH)
    lost = {"auc": [], "accuracy": []}
    for _ in range(DRAWS):
        drawn = np.concatenate([rng.choice(positive, len(positive)), rng.choice(negative, len(negative))])
        truth, ours, theirs = TRUTH[drawn], OURS[drawn], THEIRS[drawn]
        lost["auc"].append(auc(theirs, truth) - auc(ours, truth))
        lost["accuracy"].append(((theirs >= 0) == truth).mean() - ((ours >= 0) == truth).mean())
    for name, interval in lost_intervals(OURS, THEIRS, TRUTH).items():
        expected = np.quantile(lost[name], [0.025, 0.975])
        assert interval == pytest.approx(expected, abs=0.015), name
        assert interval[0] < np.mean(lost[name]) < interval[1]
    wide, narrow = (lost_intervals(OURS, THEIRS, TRUTH, c)["auc"] for c in (0.99, 0.5))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]

"""How good a detector is: the part of its verdicts that are right, and how well its logits order the texts."""

from __future__ import annotations

import numpy as np

from .spread import DRAWS, SEED


def comparisons(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[positive, negative] of every pair of texts: 1 where the positive one (`truth` [texts]) has the larger logit
    [texts], ½ where both have the same."""
    difference = logits[truth][:, None] - logits[~truth]
    return (np.sign(difference) + 1) / 2


def auc(logits: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve: the part of the pairs, one text of each label, that the logits order rightly."""
    return float(comparisons(logits, truth).mean())


def lost_intervals(ours: np.ndarray, theirs: np.ndarray, truth: np.ndarray, confidence: float = 0.95
                   ) -> dict[str, tuple[float, float]]:
    """Bounds of what our logits [texts] lose against theirs, of `auc` and of `accuracy`, by a bootstrap over the texts:
    both judge the same ones. Texts are drawn within their label, so that none is ever missing."""
    rng = np.random.default_rng(SEED)
    drawn = {label: _counts(int((truth == label).sum()), rng) for label in (True, False)}
    pairs = comparisons(theirs, truth) - comparisons(ours, truth)
    of_auc = np.einsum("dp,pn,dn->d", drawn[True], pairs, drawn[False], optimize=True) / pairs.size
    right = ((theirs >= 0) == truth).astype(int) - ((ours >= 0) == truth)
    of_accuracy = (drawn[True] @ right[truth] + drawn[False] @ right[~truth]) / len(truth)
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    return {name: (float(low), float(high)) for name, (low, high) in
            (("auc", np.quantile(of_auc, ends)), ("accuracy", np.quantile(of_accuracy, ends)))}


def _counts(texts: int, rng: np.random.Generator) -> np.ndarray:
    """[draws, texts]: how often each text is drawn."""
    return rng.multinomial(texts, np.full(texts, 1 / texts), DRAWS)

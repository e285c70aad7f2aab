"""How well a text is predicted: perplexity per character of a model and of simple baselines."""

from __future__ import annotations

import numpy as np

from .model import Gpt


def windows(ids: np.ndarray, context: int) -> np.ndarray:
    """Ids [n] cut into windows [count, context + 1] that overlap in one token: each token but the first is predicted
    once; a rest that fills no window is left out."""
    count = (len(ids) - 1) // context
    return np.stack([ids[i * context:i * context + context + 1] for i in range(count)])


def perplexity(model: Gpt, ids: np.ndarray) -> float:
    """exp of the mean cross-entropy per token, dense float attention, contexts 1 … model.context."""
    losses = []
    cut = windows(np.asarray(ids), model.context)
    for start in range(0, len(cut), 8):
        part = cut[start:start + 8]
        losses.append(cross_entropy(model.forward(part[:, :-1]), part[:, 1:]).ravel())
    return float(np.exp(np.concatenate(losses).mean()))


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """-ln p(target) [...] of logits [..., vocabulary]."""
    x = logits.astype(np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return np.log(np.exp(x).sum(axis=-1)) - np.take_along_axis(x, targets[..., None], axis=-1)[..., 0]


def baselines(training: np.ndarray, held_out: np.ndarray, vocabulary: int) -> dict[str, float]:
    """Perplexity of held-out ids under the frequencies of characters and of pairs of them, one added to each count."""
    single = np.bincount(training, minlength=vocabulary) + 1.0
    pairs = np.ones((vocabulary, vocabulary))
    np.add.at(pairs, (training[:-1], training[1:]), 1)
    unigram = np.log(single / single.sum())[held_out[1:]]
    bigram = np.log(pairs / pairs.sum(axis=1, keepdims=True))[held_out[:-1], held_out[1:]]
    return {"unigram": float(np.exp(-unigram.mean())), "bigram": float(np.exp(-bigram.mean()))}

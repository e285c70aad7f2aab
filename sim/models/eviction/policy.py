"""Policies of eviction as objects: whose attention counts, what is protected, what happens in steps.

A policy sees the *importance* of a K/V head's tokens: sums of the probabilities that they got, over the query heads of
its group and over the queries that the policy observes. The accelerator computes it (a job per K/V head, whose scores
are stored); the host chooses, because what it chooses is rare: once after the prompt, one token per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spatten_hw.errors import UserError

#: What happens with a token generated: the cache grows by it, or one is dropped for it: the least important by the sum
#: of all queries since the token came, by the last query alone, or the oldest.
Steps = Literal["grow", "sum", "last", "oldest"]


@dataclass(frozen=True)
class Eviction:
    """`queries`: how many of the prompt's last queries count; None: all, 0: none (age alone decides). `mean`:
    importance is divided by the number of queries that saw the key. `pool`: importance is averaged over so many
    neighbouring keys (odd), those that are protected as the newest left out. `shared`: one choice for all K/V heads of
    a layer.
    `first`: tokens from the start that are never dropped; `newest`: from the end, as a part of the cache (below 1) or a
    number. `pyramid`: above 1: budgets fall from the first layer to the last, whose part above the newest is 1/pyramid
    of the mean; 0: all layers have the same. `votes` (a, b): each query votes against the tokens whose probability is
    below a · mean − b · standard deviation of its own, and importance is what votes leave: − their number.
    """

    doc: str
    steps: Steps
    queries: int | None = None
    mean: bool = False
    pool: int = 1
    shared: bool = False
    first: int = 0
    newest: float = 1
    pyramid: float = 0.0
    votes: tuple[float, float] | None = None

    @property
    def by_age(self) -> bool:
        """No query decides anything."""
        return self.queries == 0

    def protected_newest(self, cache: int) -> int:
        """Newest tokens that are never dropped from `cache` tokens; all but the first ones where age alone decides."""
        if self.by_age:
            return cache - self.first
        return max(1, round(self.newest * cache)) if self.newest < 1 else round(self.newest)

    def check(self, name: str, cache: int) -> None:
        """Refuses a cache that holds nothing beside what is protected."""
        least = self.first + (1 if self.by_age else self.protected_newest(cache))
        if cache < least + (not self.by_age):
            raise UserError(f"cache = {cache}: '{name}' protects {least} tokens; give it more")

    def counted(self, given: np.ndarray) -> np.ndarray:
        """What the probabilities [..., keys] that one query gave add to the importance of its keys."""
        if self.votes is None:
            return given
        of_mean, of_deviation = self.votes
        least = of_mean * given.mean(axis=-1, keepdims=True) - of_deviation * given.std(axis=-1, keepdims=True)
        return -(given < least).astype(np.float64)

    def budgets(self, layers: int, prompt: int, cache: int) -> list[int]:
        """Tokens kept per layer of a prompt, `cache` in the mean (PyramidKV, arXiv 2406.02069)."""
        if not self.pyramid or layers == 1 or cache >= prompt:
            return [cache] * layers
        newest = self.protected_newest(cache)
        mean = cache - newest
        least = mean / self.pyramid
        most = 2 * mean - least
        if most > prompt - newest:
            most = prompt - newest
            least = 2 * mean - most
        return [min(prompt, newest + round(most - (most - least) * layer / (layers - 1))) for layer in range(layers)]

    def choose(self, importance: np.ndarray, positions: np.ndarray, now: int, cache: int) -> np.ndarray:
        """Ascending indices [..., heads, cache] of the tokens that stay, of importance and positions [..., heads, n].

        `now`: tokens seen so far. Protected ones come first, then the most important ones, ties to the lowest index.
        """
        count = importance.shape[-1]
        score = np.asarray(importance, dtype=np.float64)
        if self.mean:
            score = score / (now - positions)
        newest = self.protected_newest(cache)
        if self.pool > 1:
            score = pooled(score, self.pool, count - newest)
        if self.shared:
            score = np.broadcast_to(score.mean(axis=-2, keepdims=True), score.shape)
        safe = (positions < self.first) | (positions >= now - newest)
        if self.by_age:
            score = positions.astype(np.float64)
        order = np.lexsort((np.broadcast_to(np.arange(count), score.shape), -score, ~safe), axis=-1)
        return np.sort(order[..., :min(cache, count)], axis=-1)


def pooled(score: np.ndarray, width: int, count: int) -> np.ndarray:
    """The first `count` of scores [..., n] averaged over `width` neighbours, zeros beyond the ends; then the rest."""
    if count <= 0:
        return score
    half = width // 2
    zeros = np.zeros((*score.shape[:-1], half + 1))
    sums = np.cumsum(np.concatenate([zeros, score[..., :count], zeros[..., :half]], axis=-1), axis=-1)
    return np.concatenate([(sums[..., width:] - sums[..., :-width]) / width, score[..., count:]], axis=-1)


#: Name → policy. Sources: StreamingLLM arXiv 2309.17453, SnapKV 2404.14469, PyramidKV 2406.02069, H2O 2306.14048, TOVA
#: 2401.06104, "observed" as in the library kvpress, VEDA 2507.00797 (the votes of a prompt are those of its last 32
#: queries; its a and b are not published: here half of the mean), SpAtten-LLM as in the authors' repository (one list
#: per layer).
EVICTIONS = {
    "streaming": Eviction("the first 4 tokens and the newest", "oldest", queries=0, first=4),
    "snapkv": Eviction("most important to the last 32 queries of the prompt, averaged over 5 neighbours", "grow",
                       queries=32, pool=5, newest=32),
    "pyramidkv": Eviction("snapkv, with more tokens in the first layers than in the last", "grow", queries=32, pool=5,
                          newest=32, pyramid=20),
    "h2o": Eviction("largest sums of probabilities; half of the cache are the newest tokens", "sum", newest=0.5),
    "observed": Eviction("largest mean of probabilities over the queries that saw the token", "grow", mean=True,
                         newest=1),
    "tova": Eviction("most important to the newest query, the same for all heads of a layer", "last", queries=1,
                     shared=True, newest=1),
    "veda": Eviction("fewest votes: a query votes against what gets less than half of its mean probability", "sum",
                     queries=32, first=4, newest=1, votes=(0.5, 0.0)),
    "spatten-llm": Eviction("largest sums over all heads of a layer; the first 4 and the newest 32 stay", "sum",
                            shared=True, first=4, newest=32),
}

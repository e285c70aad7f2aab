"""Figures of the first, idealised model of slices, which the design rests on, and what this model makes of them.

That model did not say whether K or V of a channel goes first. With V first all its figures are met within `TOLERANCE`;
with K first layers of short vectors take less, because V of older heads fills the wait for the last one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .generation import Generation
from .layer import Layer, survivors
from .machine import IDEAL
from .run import mean

#: How far this model may be from a figure.
TOLERANCE = 0.05
#: Tokens before pruning, of which the survivors are drawn.
CONTEXT = 1024


@dataclass(frozen=True)
class Figure:
    """Cycles of a layer, its drain included / those of its bytes."""

    tokens: int
    keep: int
    heads: int
    stated: float

    def layer(self) -> Layer:
        # Q was not counted.
        return Layer(self.tokens, self.keep, self.heads, query_bits=0, context=CONTEXT)

    def modelled(self, seeds: int = 3) -> float:
        return mean(Generation(self.layer(), IDEAL, seed).run() for seed in range(seeds)).ratio


FIGURES = (Figure(1000, 200, 12, 1.04), Figure(1000, 200, 48, 1.01), Figure(204, 40, 12, 1.24),
           Figure(204, 40, 48, 1.06), Figure(102, 20, 12, 1.47), Figure(102, 20, 48, 1.14), Figure(102, 20, 128, 1.07))

#: Fullest channel / mean of K rows at n = 102, 12 heads: rows of head h, token t in channel t mod C, or (t + h) mod C.
FULLEST = {False: 1.71, True: 1.09}


def fullest(turned: bool, tokens: int = 102, heads: int = 12, channels: int = 16, seeds: int = 200) -> float:
    """K rows of the fullest channel / the mean."""
    found = []
    for seed in range(seeds):
        alive = survivors(Layer(tokens, context=CONTEXT), np.random.default_rng(seed))
        rows = sum(np.bincount((alive + head * turned) % channels, minlength=channels) for head in range(heads))
        found.append(np.max(rows) / np.mean(rows))
    return float(np.mean(found))

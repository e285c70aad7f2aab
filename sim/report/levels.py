"""Importance and survival as one character per token or head: what a cell of a picture shows.

`0` … `8`: alive, importance against the mean of those alive in the layer, in steps of sqrt(2) from 1/4 to 4 (`4` is
the mean). `n`: pruned just before this layer; `g`: gone earlier; `.`: does not exist in this step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .record import LayerRecord, StepRecord

#: Characters of what is alive, least important first.
LEVELS = "012345678"
MIDDLE = len(LEVELS) // 2
NEW, GONE, ABSENT = "n", "g", "."
#: What the middle, the ends and the points between stand for, as text for a legend.
SCALE = {0: "≤ ¼", 2: "½", 4: "1", 6: "2", 8: "≥ 4"}


def level(value: float, mean: float) -> str:
    """The level of an importance."""
    if value <= 0 or mean <= 0:
        return LEVELS[0]
    return LEVELS[min(max(MIDDLE + round(2 * math.log2(value / mean)), 0), len(LEVELS) - 1)]


def row(alive: Sequence[int], before: Sequence[int], importance: Sequence[float] | None, count: int,
        known: int) -> str:
    """One layer: `count` characters for those there are, of which the first `known` exist; `alive` now and `before`."""
    states = [GONE] * known + [ABSENT] * (count - known)
    for i in before:
        states[i] = NEW
    mean = sum(importance[i] for i in alive) / len(alive) if importance and alive else 0.0
    for i in alive:
        states[i] = LEVELS[MIDDLE] if importance is None else level(importance[i], mean)
    return "".join(states)


def token_rows(step: StepRecord, tokens: int) -> list[str]:
    """A row per layer of a step, a character per token."""
    known = existing(step, tokens)
    before: Sequence[int] = range(known)
    rows = []
    for layer in step.layers:
        rows.append(row(layer.alive, before, layer.importance, tokens, known))
        before = layer.alive
    return rows


def head_rows(layers: Sequence[LayerRecord]) -> list[str]:
    """A row per layer of a step, a character per K/V head."""
    before: Sequence[int] = range(layers[0].heads)
    rows = []
    for layer in layers:
        rows.append(row(layer.heads_alive, before, layer.head_importance, layer.heads, layer.heads))
        before = layer.heads_alive
    return rows


def existing(step: StepRecord, tokens: int) -> int:
    """How many tokens there are in a step, of `tokens` at the end."""
    given = step.layers[0].importance
    return tokens if given is None else len(given)


def merged(states: str, groups: Sequence[range]) -> str:
    """A row with neighbours put together: the most important of them that is alive, else new before gone."""
    order = LEVELS[::-1] + NEW + GONE + ABSENT
    return "".join(min((states[i] for i in group), key=order.index) for group in groups)

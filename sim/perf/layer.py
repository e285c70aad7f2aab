"""A layer, and the work that a random draw of its survivors and kept values gives every slice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .machine import Machine


@dataclass(frozen=True)
class Layer:
    """Shape of a layer. Generation has one query per head, a prompt as many as tokens."""

    tokens: int                 # alive
    keep: int = 0               # values kept per query; 0: all
    heads: int = 12             # query heads
    dim: int = 64
    bits: int = 8               # of K and V rows (MSB plane)
    lsb_bits: int = 0           # of their LSB planes; 0: there are none
    flat: float = 0.0           # share of the queries that fetch them
    near: float = 0.0           # LSBs by key: share of the keys near a query; 0: LSBs of all keys
    static_values: bool = False     # V has no LSB plane
    uneven: float = 0.0         # values by mass: standard deviation of the number kept, of `keep`; 0: all keep as many
    query_bits: int = 12
    group: int = 1              # query heads per K/V head
    context: int = 0            # tokens before pruning, of which `tokens` survive at random; 0: nothing is pruned
    causal: bool = False

    def replace(self, **changes: object) -> Layer:
        """A copy with some sizes changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def kept(self) -> int:
        return min(self.keep or self.tokens, self.tokens)

    @property
    def pruned(self) -> bool:
        """Whether values are pruned."""
        return self.kept < self.tokens


@dataclass(eq=False)
class Gang:
    """The query heads of one K/V head: its rows in every slice, and where they stand in the machine."""

    number: int
    members: int
    flat: int                               # members that fetch LSBs
    query_channels: list[int]
    keys: list[int]                         # K rows per slice
    listed: list[list[int]]                 # per row: slices whose K LSBs flat members take
    values: list[list[tuple[int, int, int]]]    # per row: (slice, members that kept it, flat ones of these)
    scored: int = 0                         # K rows that are still to be multiplied
    score_time: int = 0                     # when the latest was
    query_time: int = 0                     # when its queries are in the slices
    queries_due: int = field(default=0)
    replayed: bool = False
    passed: int = 0                         # members behind local top-k
    kept_time: int = 0
    due: int = 0                            # V rows that are still to be multiplied
    value_time: int = 0
    walked: bool = False

    @property
    def replayed_keys(self) -> int:
        """K rows whose LSBs flat members take."""
        return sum(map(len, self.listed))

    @property
    def rows(self) -> int:
        """K rows of the fullest slice."""
        return max(self.keys)


def survivors(layer: Layer, rng: np.random.Generator) -> np.ndarray:
    """Tokens alive, ascending."""
    if not layer.context:
        return np.arange(layer.tokens)
    return np.sort(rng.choice(layer.context, layer.tokens, replace=False))


def gangs(layer: Layer, machine: Machine, rng: np.random.Generator) -> list[Gang]:
    """The gangs of a generation layer: same survivors for all, kept values by chance."""
    tokens = survivors(layer, rng)
    return [gang(kv, layer, machine, tokens, rng) for kv in range(layer.heads // layer.group)]


def gang(number: int, layer: Layer, machine: Machine, tokens: np.ndarray, rng: np.random.Generator) -> Gang:
    """One of them."""
    s = machine.slices
    at = (tokens + number) % s if machine.turned else tokens % s
    keys = np.bincount(at, minlength=s)
    # Row of a token: how many of its slice come before it.
    order = np.argsort(at, kind="stable")
    row = np.empty(len(tokens), dtype=int)
    row[order] = np.arange(len(tokens)) - np.repeat(np.cumsum(keys) - keys, keys)
    flat = int(rng.binomial(layer.group, layer.flat)) if layer.lsb_bits else 0
    kept, refetched = np.zeros((2, len(tokens)), dtype=int)
    for member in range(layer.group):
        count = layer.kept
        if layer.uneven:
            count = int(np.clip(round(rng.normal(count, layer.uneven * count)), 1, len(tokens)))
        chosen = rng.choice(len(tokens), count, replace=False) if layer.pruned else slice(None)
        kept[chosen] += 1
        refetched[chosen] += member < flat
    listed: list[list[int]] = [[] for _ in range(int(keys.max()))]
    for i in _near(layer, len(tokens), rng):
        listed[row[i]].append(int(at[i]))
    values: list[list[tuple[int, int, int]]] = [[] for _ in range(int(keys.max()))]
    for i in np.flatnonzero(kept):
        values[row[i]].append((int(at[i]), int(kept[i]), int(refetched[i])))
    channels = [(number * layer.group + m) % machine.channels for m in range(layer.group)]
    return Gang(number, layer.group, flat, channels, keys.tolist(), listed, values, queries_due=layer.group)


def _near(layer: Layer, keys: int, rng: np.random.Generator) -> np.ndarray:
    """Keys of a gang's list, ascending: near one of its members, which look at different keys."""
    if not layer.near:
        return np.arange(keys)
    count = max(1, round(layer.near * keys))
    return np.unique(np.concatenate([rng.choice(keys, count, replace=False) for _ in range(layer.group)]))

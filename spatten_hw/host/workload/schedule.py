"""Schedules: how many tokens, heads and values each layer keeps, for inputs of any size.

A schedule is asked for the sizes of one input and answers with one count per layer (`LayerCounts`). In generation it
is asked once per step, because the context grows. In job files it is the table `schedule` (`schedule_fields.py`).
The paper: Wang, Zhang, Han, "SpAtten", HPCA 2021, cascade token and head pruning, local value pruning.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

from ...errors import UserError

Number = int | float
#: One entry per layer (None: keep what is alive), or a single entry for the layers.
PerLayer = tuple[Number | None, ...] | Number | None


class ScheduleError(UserError):
    """A schedule breaks rules, by itself or for an input. `violations`: one line per broken rule."""

    def __init__(self, violations: Iterable[str]):
        self.violations = list(violations)
        super().__init__("; ".join(self.violations))


def violation(field: str, value: object, rule: str, remedy: str) -> str:
    """One line that names field, value, rule and remedy."""
    shown = repr(list(value) if isinstance(value, tuple) else value)
    return f"{field} = {shown if len(shown) <= 60 else shown[:57] + '...'}: {rule} ({remedy})"


def whole_count(wanted: float, most: int, least: int = 1) -> int:
    """The rounding rule of all schedules: up, so that none prunes more than its ratio, then clamped to least … most.

    Products such as 0.55 × 100 = 55.00000000000001 are first rounded to 9 decimals. If least > most, `most` wins.
    """
    return min(most, max(1, least, math.ceil(round(wanted, 9))))


@dataclass(frozen=True)
class LayerCounts:
    """What to keep, one entry per layer: tokens of the input, K/V heads, values per (query head, query).

    1 ≤ tokens ≤ length of the input, 1 ≤ heads ≤ heads of the model, 1 ≤ values ≤ tokens of the same layer. Tokens
    and heads never rise from layer to layer.
    """

    tokens: tuple[int, ...]
    heads: tuple[int, ...]
    values: tuple[int, ...]


class Schedule(ABC):
    """Settings that give counts for any input; frozen. A wrong setting raises `ScheduleError` on construction."""

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if isinstance(value, list):
                object.__setattr__(self, f.name, tuple(value))
        self._refuse(self._violations())

    def counts(self, layers: int, tokens: int, heads: int, protected: int = 0, prune_tokens: bool = True
               ) -> LayerCounts:
        """Counts for one input of `tokens` tokens (without padding) and `heads` K/V heads.

        `protected` tokens are never pruned: at least that many are kept, all if there are no more. Without
        `prune_tokens` all stay in every layer, and values are counted from all of them. Raises `ScheduleError`
        if the schedule does not fit the number of layers or heads, or keeps fewer tokens than are protected.
        """
        sizes = (("layers", layers), ("tokens", tokens), ("heads", heads))
        self._refuse(violation(name, n, "must be at least 1", "give a real size") for name, n in sizes if n < 1)
        self._refuse(self._misfits(layers, tokens, heads, protected))
        alive = self._tokens(layers, tokens, protected) if prune_tokens else (tokens,) * layers
        return LayerCounts(alive, self._heads(layers, heads), self._values(alive))

    def generation(self, layers: int, lengths: Sequence[int], heads: int, protected: int = 0
                   ) -> tuple[LayerCounts, ...]:
        """Counts for each step of a generation; `lengths`: tokens in context, the newest included, step by step."""
        return tuple(self.counts(layers, tokens, heads, protected) for tokens in lengths)

    @staticmethod
    def _refuse(violations: Iterable[str]) -> None:
        found = list(violations)
        if found:
            raise ScheduleError(found)

    @abstractmethod
    def _violations(self) -> Iterator[str]: ...

    def _misfits(self, layers: int, tokens: int, heads: int, protected: int) -> Iterator[str]:
        """One line for each setting that does not fit this input."""
        yield from ()

    @abstractmethod
    def _tokens(self, layers: int, tokens: int, protected: int) -> tuple[int, ...]: ...

    @abstractmethod
    def _heads(self, layers: int, heads: int) -> tuple[int, ...]: ...

    @abstractmethod
    def _values(self, alive: tuple[int, ...]) -> tuple[int, ...]: ...


def is_ratio(x: object) -> bool:
    """Whether `x` is a number 0 … 1."""
    return isinstance(x, (int, float)) and not isinstance(x, bool) and 0 <= x <= 1


@dataclass(frozen=True)
class PaperSchedule(Schedule):
    """The paper's schedule: front layers unpruned, then a pruned part that rises linearly from start to end ratio.

    Ratios are parts *pruned*, 0 … 1, (start, end) with start ≤ end, of all tokens (heads) of the input, not of those
    alive in the layer before; start + end is twice the average ratio, as the paper has it. `prune_values`: of the
    tokens alive in the layer, the same in every layer. Start holds in the first layer after the front, end in the last
    one; where only one layer follows, end holds. `front_tokens` (the paper's 15 %) and `front_heads` (30 %) are parts
    of the layers, rounded like counts: up.

    Longer inputs are pruned harder: a ratio is taken of the tokens beyond the first `free_tokens`, so that n tokens
    lose the part ratio × (1 − free_tokens / n), and nothing if n ≤ free_tokens. The paper states that the ratio grows
    but gives no law; with this one a longer input also never keeps fewer tokens.
    """

    prune_tokens: tuple[float, float] = (0.0, 0.0)
    prune_heads: tuple[float, float] = (0.0, 0.0)
    prune_values: float = 0.0
    front_tokens: float = 0.15
    front_heads: float = 0.30
    free_tokens: int = 0

    def _violations(self) -> Iterator[str]:
        for name in ("prune_tokens", "prune_heads"):
            pair: object = getattr(self, name)
            if not isinstance(pair, tuple) or len(pair) != 2 or not all(map(is_ratio, pair)):
                yield violation(name, pair, "must be two numbers 0 … 1", "give [start, end], the parts pruned")
            elif pair[0] > pair[1]:
                yield violation(name, pair, "start must not exceed end", "what is pruned stays pruned: swap them")
        for name in ("prune_values", "front_tokens", "front_heads"):
            if not is_ratio(getattr(self, name)):
                yield violation(name, getattr(self, name), "must be a number 0 … 1", "0.3 is 30 %")
        if not isinstance(self.free_tokens, int) or isinstance(self.free_tokens, bool) or self.free_tokens < 0:
            yield violation("free_tokens", self.free_tokens, "must be a whole number from 0", "0: no length is free")

    def _tokens(self, layers: int, tokens: int, protected: int) -> tuple[int, ...]:
        beyond = max(0, tokens - self.free_tokens)
        return tuple(whole_count(tokens - ratio * beyond, tokens, protected)
                     for ratio in _ramp(self.front_tokens, self.prune_tokens, layers))

    def _heads(self, layers: int, heads: int) -> tuple[int, ...]:
        return tuple(whole_count(heads - ratio * heads, heads)
                     for ratio in _ramp(self.front_heads, self.prune_heads, layers))

    def _values(self, alive: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(whole_count(n - self.prune_values * n, n) for n in alive)


def _ramp(front: float, ends: tuple[float, float], layers: int) -> Iterator[float]:
    """The pruned part per layer: 0 in the front, then in equal steps from start to end."""
    start, end = ends
    whole = whole_count(front * layers, layers) if front else 0
    last = layers - whole - 1
    for i in range(-whole, layers - whole):
        yield 0.0 if i < 0 else end if i == last else start + (end - start) * i / last

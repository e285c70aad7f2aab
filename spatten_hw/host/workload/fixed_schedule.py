"""Schedules of fixed counts and of fixed ratios: the same setting per layer, whatever the input."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from .schedule import Number, PerLayer, Schedule, is_ratio, violation, whole_count


def _entries(setting: PerLayer) -> list[Number]:
    """The entries that are not None."""
    return [x for x in (setting if isinstance(setting, tuple) else (setting,)) if x is not None]


@dataclass(frozen=True)
class _Fixed(Schedule):
    """`keep_tokens`, `keep_heads`, `keep_values`: one entry per layer, where None keeps what is alive; or one entry for
    all layers (for tokens and heads all but the first, where nothing has a score yet); or None, which prunes nothing.
    Entries of tokens and heads must not rise."""

    keep_tokens: PerLayer = None
    keep_heads: PerLayer = None
    keep_values: PerLayer = None

    @staticmethod
    @abstractmethod
    def _valid(entry: object) -> bool: ...

    @property
    @abstractmethod
    def _rule(self) -> str: ...

    @staticmethod
    @abstractmethod
    def _wanted(entry: Number, whole: int) -> float:
        """The count out of `whole` that an entry means."""

    def _violations(self) -> Iterator[str]:
        for name in ("keep_tokens", "keep_heads", "keep_values"):
            value: PerLayer = getattr(self, name)
            entries = _entries(value)
            if value == () or not all(map(self._valid, entries)):
                yield violation(name, value, f"must be {self._rule}", "one, or one per layer")
            elif name != "keep_values" and any(a < b for a, b in pairwise(entries)):
                yield violation(name, value, "must not rise", "what is pruned stays pruned")

    def _misfits(self, layers: int, tokens: int, heads: int, protected: int) -> Iterator[str]:
        for name in ("keep_tokens", "keep_heads", "keep_values"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != layers:
                yield violation(name, value, f"has {len(value)} entries for {layers} layers", "one, or one per layer")

    def _cascade(self, setting: PerLayer, layers: int, whole: int, least: int = 1) -> tuple[int, ...]:
        # Entries do not rise (checked), so their counts do not rise either.
        entries = setting if isinstance(setting, tuple) else (None, *[setting] * (layers - 1))
        counts, alive = [], whole
        for entry in entries:
            if entry is not None:
                alive = whole_count(self._wanted(entry, whole), whole, least)
            counts.append(alive)
        return tuple(counts)

    def _tokens(self, layers: int, tokens: int, protected: int) -> tuple[int, ...]:
        return self._cascade(self.keep_tokens, layers, tokens, protected)

    def _heads(self, layers: int, heads: int) -> tuple[int, ...]:
        return self._cascade(self.keep_heads, layers, heads)

    def _values(self, alive: tuple[int, ...]) -> tuple[int, ...]:
        setting = self.keep_values
        entries = setting if isinstance(setting, tuple) else (setting,) * len(alive)
        return tuple(n if entry is None else whole_count(self._wanted(entry, n), n)
                     for entry, n in zip(entries, alive, strict=True))


@dataclass(frozen=True)
class FixedCounts(_Fixed):
    """Counts from 1: tokens, K/V heads, values per query. An input with fewer tokens keeps all it has.

    Counts are exact: fewer tokens than are protected, or more heads than there are, is a `ScheduleError`.
    """

    @staticmethod
    def _valid(entry: object) -> bool:
        return isinstance(entry, int) and not isinstance(entry, bool) and entry >= 1

    @property
    def _rule(self) -> str:
        return "whole numbers from 1"

    @staticmethod
    def _wanted(entry: Number, whole: int) -> float:
        return entry

    def _misfits(self, layers: int, tokens: int, heads: int, protected: int) -> Iterator[str]:
        yield from super()._misfits(layers, tokens, heads, protected)
        if any(x < min(protected, tokens) for x in _entries(self.keep_tokens)):
            yield violation("keep_tokens", self.keep_tokens, f"keeps fewer than the {protected} protected tokens",
                            "keep more or protect fewer")
        if any(x > heads for x in _entries(self.keep_heads)):
            yield violation("keep_heads", self.keep_heads, f"there are only {heads} K/V heads", f"use 1 … {heads}")


@dataclass(frozen=True)
class FixedRatios(_Fixed):
    """Parts *kept*, above 0 … 1: of the tokens and K/V heads of the input, of the values alive in the layer.

    Rounded up (`whole_count`); protected tokens are kept in any case.
    """

    @staticmethod
    def _valid(entry: object) -> bool:
        return is_ratio(entry) and entry != 0

    @property
    def _rule(self) -> str:
        return "numbers above 0, at most 1"

    @staticmethod
    def _wanted(entry: Number, whole: int) -> float:
        return entry * whole

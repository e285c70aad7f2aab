"""Points that belong together."""

from __future__ import annotations

from dataclasses import dataclass

from .point import Point


@dataclass(frozen=True)
class Series:
    """Points that belong together on a plot, in order. `name` is unique within a model; `curve`: neighbours are steps
    of one setting, so that a line may join them."""

    name: str
    points: tuple[Point, ...]
    curve: bool = True

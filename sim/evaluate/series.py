"""Points that belong together."""

from __future__ import annotations

from dataclasses import dataclass

from .point import Point


@dataclass(frozen=True)
class Series:
    """Points that belong together on a plot, in order. `name` is unique within a model."""

    name: str
    points: tuple[Point, ...]

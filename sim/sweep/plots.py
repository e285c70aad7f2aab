"""Pareto plots of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spatten_hw.sim.evaluate.figures import label, new, rendered, style

from .file import ParetoChoice
from .fronts import Front, fronts, pairs
from .metrics import meaning
from .table import Row

#: Most points of a front that are named by their numbers.
NAMED = 12
#: From this ratio of largest to smallest on an axis is logarithmic.
WIDE = 8


def plots(rows: Sequence[Row], wanted: Sequence[ParetoChoice]) -> list[tuple[str, bytes]]:
    """(file name, bytes) of a figure, as SVG and PNG, per pair of metrics that has points."""
    files = []
    for pair in pairs(rows, wanted):
        if found := fronts(rows, pair):
            files += rendered(_figure(found), f"pareto-{pair.x}-{pair.y}")
    return files


def _figure(found: Sequence[Front]) -> Any:
    """All points, and every front; numbers are those of the points in the table."""
    figure, axes = new(8.4, 5.4)
    x, y = found[0].x, found[0].y
    places = []
    for i, front in enumerate(found):
        look = style(i)
        axes.plot([r[x] for r in front.rows], [r[y] for r in front.rows], linestyle="none", markersize=3.5, alpha=0.35,
                  markeredgewidth=0, **look)
        best = [(float(r[x]), float(r[y])) for r in front.best]  # type: ignore[arg-type]
        axes.step(*zip(*best, strict=True), where="post", linewidth=1.3, markersize=5.5, markeredgecolor="white",
                  markeredgewidth=0.5, label=front.name or "all points", **look)
        if len(best) <= NAMED:
            places += [(*at, str(r["point"]), look["color"]) for at, r in zip(best, front.best, strict=True)]
    for name, scale in ((x, axes.set_xscale), (y, axes.set_yscale)):
        values = [float(r[name]) for f in found for r in f.rows]  # type: ignore[arg-type]
        if min(values) > 0 and max(values) > WIDE * min(values):
            scale("log")
    axes.set_xlabel(meaning(x))
    axes.set_ylabel(meaning(y))
    axes.set_title("Pareto fronts; numbers: points of the table", loc="left", fontsize=10)
    if len(found) > 1:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    label(axes, figure, places)
    return figure

"""A finished grid: losses against the float model, Pareto fronts, best points, as JSON and as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .grid import unique
from .pareto import cheapest, pareto
from .point import Point
from .series import Series
from .spread import interval

#: Losses within which the largest saving is named.
LIMITS = {"encoder": (0.01,), "decoder": (0.01, 0.02), "smollm2": (0.01, 0.02), "classifier": (0.01, 0.02)}
#: Models whose points are within a loss if the upper end of its interval is: verdicts on few texts, of which pruning
#: turns some for the better by luck.
CAUTIOUS = ("classifier",)
#: What a cost is called, and the field of a result that holds it.
COSTS = {"bytes": "byte_ratio", "computation": "mac_ratio"}


@dataclass
class Summary:
    """The results of one model's grid. `about`: what was measured on what; `exact`: the point that losses are against
    (None: float without pruning); `rtl`: outcome of the spot checks."""

    model: str
    series: list[Series]
    results: list[dict]
    about: dict[str, object] = field(default_factory=dict)
    exact: Point | None = None
    rtl: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.points = unique(self.series)
        self.of = dict(zip(self.points, self.results, strict=True))
        exact = self.of.get(self.exact or Point(self.model, None))
        for point, result in self.of.items():
            if "perplexity" in result and exact is not None:
                result["loss"] = result["perplexity"] / exact["perplexity"] - 1
                if "exact" in result:
                    result["loss"] = exact["exact"] - result["exact"]
                elif len(result.get("by_window", ())) > 1:
                    result["loss_interval"] = interval(result["by_window"], exact["by_window"])
            elif point.bits is None:
                result["loss"] = 0.0
        self.priced = [p for p in self.points if "byte_ratio" in self.of[p]]

    def front(self, cost: str) -> list[Point]:
        """The Pareto front of loss against a cost of `COSTS`."""
        return [self.priced[i] for i in pareto(self._costs(cost), self._losses())]

    def best(self, cost: str, limit: float) -> Point | None:
        """The point of least cost within a loss; of a model of `CAUTIOUS`, by the upper end of the loss's interval."""
        i = cheapest(self._costs(cost), [self._bound(p) for p in self.priced], limit)
        return None if i is None else self.priced[i]

    def _costs(self, cost: str) -> list[float]:
        return [self.of[p][COSTS[cost]] for p in self.priced]

    def _bound(self, point: Point) -> float:
        r = self.of[point]
        return r["loss_interval"][1] if self.model in CAUTIOUS else r["loss"]

    def _losses(self) -> list[float]:
        return [self.of[p]["loss"] for p in self.priced]

    def as_json(self) -> dict[str, object]:
        """Everything, points in the order of the grid."""
        fronts = {cost: set(self.front(cost)) for cost in COSTS}
        best = {}
        for cost in COSTS:
            for limit in LIMITS[self.model]:
                point = self.best(cost, limit)
                best[f"{cost}, loss ≤ {limit:.0%}"] = None if point is None else point.label
        rows = [{"label": p.label, "series": [s.name for s in self.series if p in s.points],
                 "pareto": [cost for cost in COSTS if p in fronts[cost]], "point": p.fields, **self.of[p]}
                for p in self.points]
        return {**self.about, "best": best, "rtl": self.rtl, "points": rows}

    def table(self) -> str:
        """The Pareto front over bytes and the best points, for a terminal."""
        marks: dict[Point, list[str]] = {}
        for cost in COSTS:
            for limit in LIMITS[self.model]:
                point = self.best(cost, limit)
                if point is not None:
                    marks.setdefault(point, []).append(f"{cost} ≤ {limit:.0%}")
        rows = [["", "loss", "95 %" if self._spread else "", self.measure_name, "bytes", "fewer", "computation",
                 "LSBs", "best"]]
        for p in dict.fromkeys([*self.front("bytes"), *marks]):
            r = self.of[p]
            rows.append([p.label, f"{r['loss']:.2%}", self._interval(r), self.measure(r), f"{r['byte_ratio']:.1%}",
                         f"{1 / r['byte_ratio']:.1f}×", f"{r['mac_ratio']:.1%}", f"{r['refetch_rate']:.1%}",
                         ", ".join(marks.get(p, []))])
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [f"{self.model}: Pareto front of {len(self.priced)} points; bytes and computation of dense 12-bit"]
        lines += ["  ".join(cell.ljust(w) if i in (0, 8) else cell.rjust(w)
                            for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
        for p in self.points:
            if self.of[p].get("drift"):
                slope, low, high = self.of[p]["drift"]
                lines.append(f"drift of {p.label}: {slope:+.3%} of the perplexity per 1,000 tokens ({low:+.3%}…"
                             f"{high:+.3%})")
        if self.model in CAUTIOUS:
            lines.append("best: the upper end of the 95 % interval is within the loss")
        for limit in LIMITS[self.model]:
            if self.best("bytes", limit) is None:
                lines.append(f"no point loses ≤ {limit:.0%}")
        return "\n".join(lines)

    @property
    def _spread(self) -> bool:
        return any("loss_interval" in r for r in self.results)

    @staticmethod
    def _interval(r: dict) -> str:
        if "loss_interval" not in r:
            return ""
        low, high = r["loss_interval"]
        return f"{low:+.1%}…{high:+.1%}"

    @property
    def measure_name(self) -> str:
        """What `measure` tells."""
        names = {"cosine_mean": "cosine", "exact": "exact", "flips": "accuracy, AUC, flips"}
        return next((name for field, name in names.items() if field in self.results[0]), "perplexity")

    @staticmethod
    def measure(r: dict) -> str:
        """A result in the model's own unit."""
        if "exact" in r:
            return f"{r['exact']:.1%} ({', '.join(f'{name} {part:.0%}' for name, part in r['by_task'].items())})"
        if "flips" in r:
            return f"{r['accuracy']:.1%}, {r['auc']:.3f}, {r['flips']:3}"
        return f"{r['cosine_mean']:.4f}" if "cosine_mean" in r else f"{r['perplexity']:.4f}"

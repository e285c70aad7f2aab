"""Every point of finished grids as Markdown, for the pages of the docs and for whoever pastes a table."""

from __future__ import annotations

from .summary import Summary

#: Fields of a result of which it needs one to have a measure; float has none where losses are defined against it.
MEASURED = {"perplexity", "exact", "accuracy", "cosine_mean"}


def markdown(summaries: list[Summary]) -> str:
    """A table per model: its points once each, in the order of the grid, beside the first series that has them. Loss
    and interval in per cent (of a classifier: points of accuracy); the fifth column is the model's measure."""
    return "\n".join(line for s in summaries for line in (*_table(s), ""))


def _table(s: Summary) -> list[str]:
    header = ["series", "point", "loss", "95 %", s.measure_name, "fewer bytes", "computation"]
    rows = [header, ["---"] * len(header)]
    said = ""
    for point in s.points:
        r = s.of[point]
        name = next(series.name for series in s.series if point in series.points)
        costs = ([f"{1 / r['byte_ratio']:.2f}×", f"{r['mac_ratio']:.0%}".replace("%", " %")] if "byte_ratio" in r
                 else ["", ""])
        rows.append(["" if name == said else name, point.label, _percent(r["loss"], 2), _interval(r),
                     s.measure(r) if MEASURED & r.keys() else "", *costs])
        said = name
    return [f"## {s.model}", "", *("| " + " | ".join(row) + " |" for row in rows)]


def _interval(r: dict) -> str:
    return " … ".join(_percent(x, 1) for x in r["loss_interval"]) if "loss_interval" in r else ""


def _percent(value: float, digits: int) -> str:
    """With its sign and, as the docs have it, a space and a true minus."""
    return f"{100 * value:+.{digits}f} %".replace("-", "−")

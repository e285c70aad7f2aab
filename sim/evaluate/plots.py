"""The figures of a finished grid: trade-offs, progressive quantisation against static, errors of probabilities."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from .figures import label, new, rendered, style
from .point import Point
from .summary import CAUTIOUS, COSTS, LIMITS, Summary
from .tally import BINS

#: Letters of a title's line.
TITLE_LETTERS = 105
#: Losses up to the first are drawn to scale, above it logarithmically up to the second, in %.
LINEAR, MOST = 2.0, 200.0
LOSS = {"encoder": "loss of ranking agreement, 1 − Spearman (%)", "decoder": "loss of perplexity (%)",
        "smollm2": "loss of perplexity (%)", "classifier": "accuracy lost against float (%)"}
AXES = {"bytes": "DRAM bytes, % of dense 12-bit attention",
        "computation": "multiply-accumulates, % of dense attention"}
TITLE = {"encoder": "sentence encoder", "decoder": "GPT", "smollm2": "SmolLM2-135M-Instruct",
         "classifier": "classifier NanoGuard"}


def plots(s: Summary) -> list[tuple[str, bytes]]:
    """(file name, bytes) of every figure that the grid has points for."""
    files = []
    if s.priced:
        for cost in COSTS:
            files += rendered(_trade_off(s, cost), f"{s.model}-{cost}")
    if s.model != "smollm2" and any(p.bits is not None and p.bits[1] for p in s.priced):
        files += rendered(_progressive(s), f"{s.model}-progressive")
        files += rendered(_refetch(s), f"{s.model}-refetch")
    if any("errors" in _own(s, p) for p in s.priced):
        files += rendered(_errors(s), f"{s.model}-error")
    return files


def _own(s: Summary, point: Point) -> dict:
    """Results whose rates are meant: of the steps, for a decoder (its prompt is never pruned)."""
    result = s.of[point]
    return result.get("steps", result)


def _loss_axis(s: Summary, axes: Any, points: list[Point]) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.set_yscale("symlog", linthresh=LINEAR, linscale=1.2)
    losses = [100 * s.of[p]["loss"] for p in points]
    top = min(MOST, max(1.5 * LINEAR, *losses) * 1.2)
    axes.set_ylim(min(-0.2, max(-LINEAR, min(losses) * 1.3)), top)
    axes.set_yticks([t for t in (-2, -1, 0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if axes.get_ylim()[0] <= t <= top])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set_ylabel("answers lost against float (%)" if "exact" in s.results[0] else LOSS[s.model])
    for limit in LIMITS[s.model]:
        axes.axhline(100 * limit, color="#555555", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)


def _visible(s: Summary, points: list[Point]) -> list[Point]:
    return [p for p in points if 100 * s.of[p]["loss"] <= MOST]


def _trade_off(s: Summary, cost: str) -> Any:
    """Loss against a cost, a line per series, with the Pareto front and the best points (the paper's Figure 21)."""
    figure, axes = new(8.4, 5.4)
    name = COSTS[cost]
    front = s.front(cost)
    _loss_axis(s, axes, s.priced)
    shown = [(series, [p for p in series.points if p in s.priced]) for series in s.series]
    shown = [(series, points) for series, points in shown if points]
    places = []
    axes.step([100 * s.of[p][name] for p in front], [100 * s.of[p]["loss"] for p in front], where="post",
              color="#BBBBBB", linewidth=5, zorder=1, solid_capstyle="round")
    for i, (series, points) in enumerate(shown):
        look = {"color": "black", "marker": "o"} if series.name in ("combined", "points") else style(i)
        line = "-" if series.curve else "none"
        axes.plot([100 * s.of[p][name] for p in points], [100 * s.of[p]["loss"] for p in points], linestyle=line,
                  linewidth=1.2, markersize=4.5, markeredgecolor="white", markeredgewidth=0.5, **look)
        inside = _visible(s, points)
        if inside:
            end = min(inside, key=lambda p: (round(s.of[p][name], 2), -s.of[p]["loss"]))
            places.append((100 * s.of[end][name], 100 * s.of[end]["loss"], series.name, look["color"]))
    left = min(100 * s.of[p][name] for p in s.priced)
    right = max(100 * s.of[p][name] for p in s.priced)
    axes.set_xlim(left - 0.2 * (min(right, 108) - left), min(right, 108) + 2)
    axes.set_xlabel(AXES[cost])
    best = _mark_best(s, cost, axes)
    axes.set_title("\n".join([f"{TITLE[s.model]}: accuracy against {cost}; grey: Pareto front", *best]), loc="left",
                   fontsize=9.5)
    label(axes, figure, places, right=False)
    return figure


def _mark_best(s: Summary, cost: str, axes: Any) -> list[str]:
    """Rings round the cheapest points within the limits; returns what they are."""
    lines = []
    for limit, mark in zip(LIMITS[s.model], ("①", "②"), strict=False):
        point = s.best(cost, limit)
        if point is None:
            lines.append(f"{mark} no point loses ≤ {limit:.0%}")
            continue
        x, y = (100 * s.of[point][name] for name in (COSTS[cost], "loss"))
        axes.plot([x], [y], "o", markersize=13, fillstyle="none", markeredgecolor="black", markeredgewidth=1.4)
        axes.annotate(mark, (x, y), (0, 14), textcoords="offset points", ha="center", va="center", fontsize=12)
        surely = "surely " if s.model in CAUTIOUS else ""
        said = f"{mark} largest saving at {surely}≤ {limit:.0%} loss: {100 / x:.1f}×, {point.label}"
        lines += wrap(said, TITLE_LETTERS, subsequent_indent="     ")
    return lines


def _static(s: Summary) -> list[Point]:
    """Static widths without pruning: the series of that name, or whatever a grid of another kind has."""
    for series in s.series:
        if series.name == "static":
            return list(series.points)
    return [p for p in s.priced if p.bits is not None and not p.bits[1] and not p.prunes]


def _settings(s: Summary) -> dict[str, list[Point]]:
    """Progressive settings without pruning → points by threshold."""
    found: dict[str, list[Point]] = {}
    for p in s.priced:
        if p.bits is not None and p.bits[1] and not p.prunes:
            found.setdefault(p.bits_name, []).append(p)
    return {name: sorted(points, key=lambda p: p.threshold) for name, points in found.items()}


def _progressive(s: Summary) -> Any:
    """Static widths and progressive settings over thresholds, by their traffic; numbers are refetch rates."""
    figure, axes = new(8.4, 5.4)
    places = []
    groups = {"static": sorted(_static(s), key=lambda p: p.bits or (0, 0)), **_settings(s)}
    _loss_axis(s, axes, [p for points in groups.values() for p in points])
    axes.set_xscale("log")
    for i, (name, points) in enumerate(groups.items()):
        look = style(i) if i else {"color": "black", "marker": "s"}
        xs, ys = [100 * s.of[p]["byte_ratio"] for p in points], [100 * s.of[p]["loss"] for p in points]
        axes.plot(xs, ys, linewidth=1.4, markersize=5, **look)
        for x, y, p in zip(xs, ys, points, strict=True):
            if y > MOST:
                continue
            rate = _own(s, p)["refetch_rate"]
            text = f"{name}: {rate:.0%}" if p is points[0] else f"{rate:.0%}"
            places.append((x, y, text if i else f"{p.bits_name} bit", look["color"]))
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 6, 7, 8)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_xlabel(AXES["bytes"])
    axes.set_title(f"{TITLE[s.model]}: progressive quantisation against static widths, nothing pruned\n"
                   "along each curve the threshold rises; numbers: rows that fetched LSBs", loc="left", fontsize=11)
    label(axes, figure, places, rise=9)
    return figure


def _refetch(s: Summary) -> Any:
    """Rows that fetched LSBs, by threshold."""
    figure, axes = new()
    places = []
    for i, (name, points) in enumerate(_settings(s).items(), 1):
        look = style(i)
        ys = [100 * _own(s, p)["refetch_rate"] for p in points]
        axes.plot([p.threshold for p in points], ys, linewidth=1.4, markersize=5, **look)
        places.append((points[-1].threshold, ys[-1], name, look["color"]))
    axes.set_xlim(-0.02, 1.1)
    axes.set_xlabel("threshold on the largest probability of a row")
    axes.set_ylabel("rows that fetch LSBs (%)")
    axes.set_title(f"{TITLE[s.model]}: LSB fetches", loc="left", fontsize=11)
    label(axes, figure, places)
    return figure


def _errors(s: Summary) -> Any:
    """Error of probabilities from MSBs alone against the largest probability (the paper's Figure 7)."""
    figure, axes = new()
    shares = axes.twinx()
    centres = [100 * (b + 0.5) / BINS for b in range(BINS)]
    places = []
    for i, (name, points) in enumerate(_settings(s).items(), 1):
        errors = next((r["errors"] for p in points if "errors" in (r := _own(s, p))), None)
        if errors is None:
            continue
        look = style(i)
        rows = errors["rows_by_bin"]
        if i == 1:
            shares.bar(centres, [100 * n / sum(rows) for n in rows], width=90 / BINS, color="#DDDDDD", zorder=0)
        full = [(x, e) for x, e, n in zip(centres, errors["mean_by_bin"], rows, strict=True) if n >= 20]
        axes.plot([x for x, _ in full], [e for _, e in full], linewidth=1.4, markersize=5, **look)
        places.append((*full[-1], name, look["color"]))
    axes.set_zorder(shares.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 108)
    shares.spines[["top"]].set_visible(False)
    shares.set_ylabel("rows (%), grey bars", color="#777777")
    axes.set_xlabel("largest probability of a row, from MSBs (%)")
    axes.set_ylabel("Σ |P from MSBs − P| of a row, mean")
    axes.set_title(f"{TITLE[s.model]}: what MSBs alone get wrong", loc="left", fontsize=11)
    axes.set_xticks(range(0, 101, 20))
    label(axes, figure, places, rise=6)
    return figure

"""Shares of area and power as a drawing, beside the paper's Figure 13 and Table III."""

from __future__ import annotations

import importlib.util
import io

from spatten_hw.errors import UserError

from .figures import PAPER_SHARES, PAPER_TOTAL_W, PAPER_W
from .report import ChipReport

#: Below this share a unit is drawn with others.
LEAST = 3.0


def check_drawing() -> None:
    """Raises `UserError` if what draws is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("--plot: matplotlib is missing; install with: pip install 'spatten-hw[plots]'")


def shares(report: ChipReport) -> dict[str, float]:
    """Unit → % of the area; small ones as "others"."""
    every = {area.unit: 100 * area.total / report.mm2 for area in report.areas}
    found = {unit: share for unit, share in every.items() if share >= LEAST}
    rest = 100 - sum(found.values())
    return found | ({"others": rest} if rest > 0.05 else {})


def chart(report: ChipReport) -> str:
    """SVG: two bars of area, and a bar of power per run and the paper's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 5))
    paper = {**PAPER_SHARES, "others": 100 - sum(PAPER_SHARES.values())}
    bars = {report.config.name: shares(report), "paper": paper}
    colours: dict[str, str] = {}
    for x, (name, parts) in enumerate(bars.items()):
        bottom = 0.0
        for unit, share in sorted(parts.items(), key=lambda part: (part[0] == "others", -part[1])):
            colour = colours.setdefault(unit, f"C{len(colours) % 10}" if unit != "others" else "lightgrey")
            left.bar(x, share, bottom=bottom, color=colour, width=0.6)
            left.text(x, bottom + share / 2, f"{unit} {share:.1f}", ha="center", va="center", fontsize=8)
            bottom += share
        left.text(x, 101, name, ha="center")
    left.set_ylabel("% of the area, SRAM included")
    left.set_xticks([])
    left.set_ylim(0, 106)
    groups = {power.run: power.groups for power in report.powers} | {"paper": dict(PAPER_W)}
    for x, (name, split) in enumerate(groups.items()):
        bottom = 0.0
        for n, (part, watt) in enumerate(split.items()):
            right.bar(x, watt, bottom=bottom, color=f"C{n}", width=0.6, label=part if x == 0 else None)
            right.text(x, bottom + watt / 2, f"{watt:.2f}", ha="center", va="center", fontsize=8)
            bottom += watt
        right.text(x, bottom, f" {PAPER_TOTAL_W if name == 'paper' else bottom:.2f} W", ha="center", va="bottom")
    right.set_xticks(range(len(groups)), list(groups))
    right.set_ylabel("W at 1 GHz")
    right.legend()
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return out.getvalue()

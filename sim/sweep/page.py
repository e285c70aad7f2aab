"""The page of a sweep: parallel coordinates of its points, one file that needs nothing else."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib import resources

from spatten_hw.sim.page import document

from .metrics import KINDS
from .table import LAST, Cell, Row, counts

#: Metrics that are shown at first; the others can be chosen.
SHOWN = ("model_us", "model_bytes", "model_energy_nj", "rtl_cycles", "rtl_bytes", "area_luts", "area_gates")
#: Most axes that are shown at first, and most points on a page: drawing more takes seconds.
AXES, POINTS = 12, 5000


def render(title: str, rows: Sequence[Row]) -> str:
    """The HTML, complete, to be written as UTF-8. Style, script and data are inside; its Content-Security-Policy lets
    it load nothing and run that one script. Without the script it shows how many points there are, and why some are
    not. Of more than `POINTS` points it shows an even choice, and says so."""
    style, script = (resources.files(__package__).joinpath(name).read_text("utf-8") for name in (
        "page.css", "page.js"))
    measured = [row for row in rows if any(_metric(n) and row[n] is not None for n in row)]
    shown = measured if len(measured) <= POINTS else [measured[i * len(measured) // POINTS] for i in range(POINTS)]
    axes = _axes(shown)
    data = json.dumps({"axes": axes, "rows": [[_short(row[str(a["name"])]) for a in axes] for row in shown]},
                      separators=(",", ":"))
    part = f", of which {len(shown):,} are shown" if len(shown) < len(measured) else ""
    said = ", ".join(f"{count:,} {status}" for status, count in counts(rows).items())
    body = f"""<header><h1>{html.escape(title)}</h1>
<p>{len(rows):,} points: {said}{part}. Drag along an axis to choose a range, click
the axis to let go of it, click its name to colour by it. <span id="count"></span></p></header>
<main>
<svg id="plot" role="img" aria-label="parallel coordinates"></svg>
<details><summary>Axes</summary><div id="choose"></div></details>
<div class="wide"><table id="table"></table></div>
{_reasons(rows)}
</main>
<script type="application/json" id="data">{data.replace("<", chr(92) + "u003c")}</script>
"""
    return document(title, style, body, script)


def _metric(name: str) -> bool:
    return name.startswith(tuple(f"{kind}_" for kind in KINDS)) and name not in LAST


def _axes(rows: Sequence[Row]) -> list[dict[str, object]]:
    """What differs between points: name, whether it is numbers, a metric, shown at first. Not shown then is what
    follows from an axis that is, as the sizes of a case from its name."""
    names = [n for n in (rows[0] if rows else ()) if n not in (*LAST, "status", "reason")
             and len({row[n] for row in rows}) > 1]
    shown = [n for n in SHOWN if n in names]
    for name in names:
        follows = any(len({(row[a], row[name]) for row in rows}) == len({row[a] for row in rows}) for a in shown
                      if not _metric(a))
        if not (_metric(name) or follows or name in ("point", "config", "config_hash")) and len(shown) < AXES:
            shown.append(name)
    return [{"name": n, "metric": _metric(n), "shown": n in shown, "number": all(
        row[n] is None or (isinstance(row[n], (int, float)) and not isinstance(row[n], bool)) for row in rows)}
        for n in names]


def _short(value: Cell) -> Cell:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _reasons(rows: Sequence[Row]) -> str:
    """Why points were refused or failed, each reason once."""
    said: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if row["reason"]:
            said.setdefault((str(row["status"]), str(row["reason"])), []).append(int(str(row["point"])))
    if not said:
        return ""
    items = "".join(f"<tr><td>{len(points)}</td><td>{status}</td><td>{html.escape(why)}</td><td>"
                    f"{', '.join(map(str, points[:5]))}{' …' if len(points) > 5 else ''}</td></tr>"
                    for (status, why), points in sorted(said.items(), key=lambda item: -len(item[1]))[:200])
    return ("<h2>Refused and failed</h2><table><tr><th>points</th><th></th><th>why</th><th>numbers</th></tr>"
            f"{items}</table>")

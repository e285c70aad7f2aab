"""The coverage page: by unit how much was reached, what was not, and which kinds of job were run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources

from spatten_hw.sim.page import document
from spatten_hw.sim.report import text

from .bins import CROSSES, counted
from .cover_points import Point
from .coverage_runs import Covered
from .units import UNITS, unit_of
from .unreached import reason, source_line

#: Style of its tables, beside that of reports.
TABLES = """
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .15em .7em; text-align: left }
td.n { text-align: right; font-variant-numeric: tabular-nums } tr.no td { opacity: .6 }
"""
#: Where sources of no unit go: the accelerator's own wiring, the top.
OTHER = "other"


@dataclass
class Share:
    """Points of a kind: `reached` of `all`; `excused` have a reason."""

    reached: int = 0
    all: int = 0
    excused: int = 0

    @property
    def percent(self) -> float:
        """Of those without a reason for not being reached."""
        return 100 * self.reached / (self.all - self.excused) if self.all > self.excused else 100.0


@dataclass
class UnitCoverage:
    """A unit's shares, and its points that were not reached: those with a reason, and those without."""

    name: str
    line: Share = field(default_factory=Share)
    toggle: Share = field(default_factory=Share)
    missed: list[Point] = field(default_factory=list)


def by_unit(points: dict[Point, bool]) -> list[UnitCoverage]:
    """Coverage by unit, in the order of `UNITS`; units without points are left out."""
    found = {name: UnitCoverage(name) for name in [*(u.name for u in UNITS), OTHER]}
    for point, reached in sorted(points.items()):
        unit = unit_of(point.file.removeprefix("spatten_hw/"))
        of = found[unit.name if unit else OTHER]
        share = of.line if point.kind == "line" else of.toggle
        share.all += 1
        share.reached += reached
        if not reached:
            share.excused += bool(reason(point))
            of.missed.append(point)
    return [u for u in found.values() if u.line.all + u.toggle.all]


def table(units: Sequence[UnitCoverage]) -> str:
    """Markdown."""
    lines = ["| unit | branches | reached | toggles | reached | with a reason |", "|---|---|---|---|---|---|"]
    for u in units:
        branches, toggles = (f"{share.all} | {share.percent:.1f} %" for share in (u.line, u.toggle))
        lines.append(f"| {u.name} | {branches} | {toggles} | {u.line.excused + u.toggle.excused} |")
    return "\n".join(lines)


def page(covered: Covered, tests: Sequence[str], sources: str) -> str:
    """The page: one HTML file that loads nothing."""
    style = resources.files("spatten_hw.sim.report").joinpath("page.css").read_text("utf-8")
    units = by_unit(covered.points)
    names = [text.escape(u.name) for u in units]
    rows = "".join(f'<tr><td><a href="#{name}">{name}</a></td>{_cells(u)}</tr>'
                   for name, u in zip(names, units, strict=True))
    body = f"""<header><h1>Coverage of the generated Verilog</h1><p>Sources {text.escape(sources)}, \
{text.plural(len(tests), "file")} of tests, {text.plural(len(covered.jobs), "different job")}. Branches and toggles are
counted once for a line of the generator's source, whatever the number of instances and builds.</p></header>
<main>
<table><tr><th>unit</th><th>branches</th><th>reached</th><th>toggles</th><th>reached</th><th>with a reason</th></tr>
{rows}</table>
<h2>Kinds of job</h2>
{_bins(covered)}
<h2>Not reached</h2>
{"".join(map(_missed, units))}
<h2>Tests</h2>
<p>{", ".join(map(text.escape, tests))}</p>
</main>
"""
    return document("Coverage of spatten-hw", style + TABLES, body, inline_styles=True)


def _cells(u: UnitCoverage) -> str:
    return (f'<td class="n">{u.line.all:,}</td><td class="n">{u.line.percent:.1f} %</td><td class="n">{u.toggle.all:,}'
            f'</td><td class="n">{u.toggle.percent:.1f} %</td><td class="n">{u.line.excused + u.toggle.excused:,}</td>')


def missed_lines(points: Iterable[Point]) -> list[tuple[str, int, str, str, str]]:
    """Points that were not reached, by source line and name: (file, line, what, bits, reason)."""
    grouped: dict[tuple[str, int, str, str], list[str]] = defaultdict(list)
    for point in points:
        what = f"branch {point.name}" if point.kind == "line" else point.name
        grouped[point.file, point.line, what, reason(point)].append(point.bit)
    return [(file, line, what, _ranges(bits), why) for (file, line, what, why), bits in sorted(grouped.items())]


def _ranges(bits: Iterable[str]) -> str:
    """Bits and their edges in short: "3–7, 9 (1->0)"."""
    edges: dict[int, set[str]] = defaultdict(set)
    for bit in filter(None, bits):
        place, _, edge = bit.partition(":")
        edges[int(place)].add(edge)
    runs: list[list] = []
    for number, which in sorted(edges.items()):
        one = "".join(which) if len(which) == 1 else ""
        if runs and runs[-1][1] == number - 1 and runs[-1][2] == one:
            runs[-1][1] = number
        else:
            runs.append([number, number, one])
    spans = ((f"{low}–{high}" if high > low else f"{low}", f" ({edge})" if edge else "") for low, high, edge in runs)
    return ", ".join(span + edge for span, edge in spans)


def _missed(u: UnitCoverage) -> str:
    rows = "".join(
        f"<tr><td>{text.escape(f'{file}:{line}')}</td><td><code>{text.escape(source_line(file, line))}</code></td>"
        f"<td>{text.escape(what)}</td><td>{text.escape(bits)}</td><td>{text.escape(why)}</td></tr>"
        for file, line, what, bits, why in missed_lines(u.missed))
    return (f'<h3 id="{text.escape(u.name)}">{text.escape(u.name)}</h3><details><summary>'
            f"{text.plural(len(u.missed), 'point')}</summary><table>{rows}</table></details>")


def _bins(covered: Covered) -> str:
    parts = []
    for cross, counts in counted(covered.jobs).items():
        rows = ""
        for place in CROSSES[cross]:
            values = "".join(f"<td>{text.escape(value)}</td>" for value in place)
            kind = "yes" if counts[place] else "no"
            rows += f'<tr class="{kind}">{values}<td class="n">{counts[place]:,}</td></tr>'
        head = "".join(f"<th>{text.escape(name)}</th>" for name in cross)
        parts.append(f"<details><summary>{text.escape(' × '.join(cross))}: {len(counts)} of {len(CROSSES[cross])} bins"
                     f"</summary><table><tr>{head}<th>jobs</th></tr>{rows}</table></details>")
    return "".join(parts)

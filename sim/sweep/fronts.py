"""Pareto fronts of a sweep: of points that are alike in some columns, those that no other one beats in both metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spatten_hw.sim.evaluate.pareto import pareto

from .file import ParetoChoice
from .table import Row

#: Pairs that are drawn unless the file names others, those of them that were measured.
USUAL = (("rtl_cycles", "area_luts"), ("rtl_cycles", "area_gates"), ("model_us", "area_luts"),
         ("model_us", "area_gates"), ("model_us", "model_energy_nj"), ("rtl_cycles", "rtl_bytes"),
         ("model_cycles", "model_bytes"), ("area_luts", "area_brams"))
#: Most of the usual ones.
MOST = 3


@dataclass(frozen=True)
class Front:
    """Points that are alike (`name` says in what) and have both metrics: their rows, and which of these are on the
    front, by rising x."""

    name: str
    x: str
    y: str
    rows: tuple[Row, ...]
    best: tuple[Row, ...]


def pairs(rows: Sequence[Row], wanted: Sequence[ParetoChoice]) -> list[ParetoChoice]:
    """The pairs of metrics to draw: those wanted, or the usual ones that some point has."""
    if wanted:
        return list(wanted)
    return [ParetoChoice(x, y) for x, y in USUAL if any(has(row, x, y) for row in rows)][:MOST]


def fronts(rows: Sequence[Row], pair: ParetoChoice) -> list[Front]:
    """The fronts of a pair, in the order of the table. Points that failed have no say."""
    used = [row for row in rows if has(row, pair.x, pair.y) and row["status"] != "failed"]
    # Columns in which all points are alike say nothing.
    by = [name for name in pair.by if len({row.get(name) for row in used}) > 1]
    groups: dict[str, list[Row]] = {}
    for row in used:
        groups.setdefault(", ".join(_said(name, row.get(name)) for name in by), []).append(row)
    found = []
    for name, group in groups.items():
        best = pareto([float(row[pair.x]) for row in group],  # type: ignore[arg-type]
                      [float(row[pair.y]) for row in group])  # type: ignore[arg-type]
        found.append(Front(name, pair.x, pair.y, tuple(group), tuple(group[i] for i in best)))
    return found


def _said(name: str, value: object) -> str:
    return str(value) if isinstance(value, str) else f"{name} {value}"


def has(row: Row, *names: str) -> bool:
    """Whether a row has numbers there."""
    return all(isinstance(row.get(name), (int, float)) for name in names)

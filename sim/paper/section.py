"""What a part of the evaluation gives: rows "the paper, ours, why", tables, a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .numbers import Number, numbers

#: Ratios of ours to the paper's outside of this have a reason.
NEAR = (0.9, 1.1)
#: How a value of ours came to be.
COMPUTED, INPUT, QUOTED, MISSING = "computed", "input", "quoted", "not here"
KINDS = {
    COMPUTED: "by the models of this project",
    INPUT: "of an input that was itself derived from the paper's figure: no check",
    QUOTED: "the paper's, set against our cycles; not measured here",
    MISSING: "cannot be had here",
}


@dataclass(frozen=True)
class Row:
    """One number of the paper and ours. `ours` None: not to be had; `why`: the reason of a difference, or where ours
    is from."""

    key: str
    ours: float | None
    why: str = ""
    kind: str = COMPUTED

    @property
    def number(self) -> Number:
        """The paper's."""
        return numbers()[self.key]

    @property
    def ratio(self) -> float | None:
        """Ours by the paper's."""
        return None if self.ours is None else self.ours / self.number.value

    @property
    def near(self) -> bool:
        """Whether no reason is due."""
        return self.ratio is not None and NEAR[0] <= self.ratio <= NEAR[1]


@dataclass(frozen=True)
class Table:
    """Cells as text; the first row is the header."""

    title: str
    cells: Sequence[Sequence[str]]


@dataclass
class Section:
    """A part of the page. `figure`: SVG, "" without; `data`: everything computed, for the JSON."""

    name: str
    title: str
    about: str
    rows: list[Row] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figure: str = ""
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def as_json(self) -> dict[str, Any]:
        """Without the figure, which is a file of its own."""
        rows = [asdict(r) | {"paper": r.number.value, "unit": r.number.unit, "what": r.number.what,
                             "where": r.number.where, "ratio": r.ratio} for r in self.rows]
        return {"name": self.name, "title": self.title, "rows": rows, "notes": self.notes,
                "tables": [asdict(t) for t in self.tables], "data": self.data}


def shown(value: float | None, unit: str = "") -> str:
    """A number as tables have it, three digits or more."""
    if value is None:
        return "–"
    size = abs(value)
    text = f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
    return f"{text} {unit}".strip() if unit not in ("×", "%") else f"{text}{'' if unit == '×' else ' '}{unit}"

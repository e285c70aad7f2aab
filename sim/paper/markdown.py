"""The evaluation as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .evaluation import NOT_HERE
from .section import COMPUTED, KINDS, Row, Section, Table, shown

HEADER = ("", "the paper", "ours", "ours / paper", "why", "where in the paper")


def cells(row: Row) -> list[str]:
    """A row of "the paper, ours, why"."""
    n = row.number
    ours = shown(row.ours, n.unit) + ("" if row.kind == COMPUTED or row.ours is None else f" ({row.kind})")
    return [n.what, shown(n.value, n.unit), ours if row.ours is not None else row.kind,
            "–" if row.ratio is None else f"{row.ratio:.2f}", row.why, n.where]


def grid(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def numbers_table(sections: Sequence[Section]) -> str:
    """All rows "the paper, ours, why", part by part."""
    parts = []
    for s in sections:
        if s.rows:
            parts.append(f"**{s.title}**\n\n{grid([HEADER, *(cells(row) for row in s.rows)])}\n")
    return "\n".join(parts)


def legend() -> str:
    """What the kinds of values are."""
    return "\n".join(f"* *{kind}*: {text}." for kind, text in KINDS.items())


def table(t: Table) -> str:
    """A table with its title."""
    return f"{t.title}:\n\n{grid(t.cells)}\n"


def page(sections: Sequence[Section], title: str, source: str) -> str:
    """The whole page; figures are files beside it, named by their parts."""
    lines = [f"# {title}\n", f"{source}\n", legend() + "\n"]
    for s in sections:
        lines += [f"## {s.title}\n", s.about + "\n"]
        if s.rows:
            lines.append(grid([HEADER, *(cells(row) for row in s.rows)]) + "\n")
        if s.figure:
            lines.append(f"![{s.title}]({s.name}.svg)\n")
        lines += [note + "\n" for note in s.notes] + [table(t) for t in s.tables]
    lines += ["## What cannot be had here\n", "\n".join(f"* {text}" for text in NOT_HERE) + "\n"]
    return "\n".join(lines)

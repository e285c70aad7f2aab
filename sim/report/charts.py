"""Bars in a table: bytes by class beside dense, cycles, rows that fetched LSBs; per layer, step or sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import text
from .limits import BARS, groups
from .totals import Cost

#: Units across a bar.
ACROSS = 1000
#: What the classes of bytes are.
NAMES = {"q": "Q", "k_msb": "K MSBs", "k_lsb": "K LSBs", "v_msb": "V MSBs", "v_lsb": "V LSBs", "out": "output",
         "other": "descriptors, state"}


@dataclass(frozen=True)
class Bar:
    """One row: `parts` (class, value) end to end, `frame` a value to compare with, and what is written beside."""

    label: str
    parts: Sequence[tuple[str, float]]
    text: str
    frame: float | None = None


def table(title: str, bars: Sequence[Bar], note: str = "") -> str:
    """A titled table of bars, all to one scale."""
    longest = max([sum(v for _, v in b.parts) for b in bars] + [b.frame or 0 for b in bars]) or 1
    lines = [f'<section class="chart"><h3>{text.escape(title)}</h3>', note, "<table>"]
    for bar in bars:
        x, drawn = 0.0, []
        for name, value in bar.parts:
            width = ACROSS * value / longest
            if width:
                drawn.append(f'<rect class="c-{name}" x="{x:.1f}" y="1" width="{width:.1f}" height="14"/>')
            x += width
        if bar.frame is not None:
            drawn.insert(0, f'<rect class="frame" y="1" width="{ACROSS * bar.frame / longest:.1f}" height="14"/>')
        lines.append(f'<tr><th>{text.escape(bar.label)}</th><td class="bar"><svg viewBox="0 0 {ACROSS} 16" '
                     f'preserveAspectRatio="none" aria-hidden="true">{"".join(drawn)}</svg></td>'
                     f"<td>{bar.text}</td></tr>")
    return "\n".join([*lines, "</table></section>"])


def costs(what: str, rows: Mapping[str, Cost]) -> list[str]:
    """Tables of what `rows` have: bytes, cycles, LSB fetches. `what` names the rows ("layer")."""
    result, many = [], list(rows.values())
    names, note = list(rows), ""
    if len(many) > BARS:
        parts = groups(len(many), BARS)
        note = f"<p>A bar is the mean of {len(parts[0])} neighbours.</p>"
        names = [f"{names[g[0]]} – {names[g[-1]]}" if len(g) > 1 else names[g[0]] for g in parts]
    else:
        parts = [range(i, i + 1) for i in range(len(many))]

    def mean(values: Sequence[float | None], group: range) -> float:
        return sum(values[i] or 0 for i in group) / len(group)

    if all(c.bytes is not None for c in many):
        classes = list(many[0].bytes or {})
        dense = [c.dense_bytes for c in many]
        bars = []
        for name, g in zip(names, parts, strict=True):
            split = [(k, mean([(c.bytes or {}).get(k, 0) for c in many], g)) for k in classes]
            total = sum(v for _, v in split)
            frame = None if None in dense else mean(dense, g)
            share = "" if frame is None else f' <span class="share">{text.percent(total, frame)}</span>'
            bars.append(Bar(name, split, f"{text.size(total)}{share}", frame))
        used = [k for k in classes if any((c.bytes or {}).get(k) for c in many)]
        result.append(table(f"DRAM bytes per {what}", bars, note + bytes_legend(used, None not in dense)))
    if all(c.cycles is not None for c in many):
        bars = [Bar(name, [("cycles", v)], f"{v:,.0f}") for name, g in zip(names, parts, strict=True)
                for v in [mean([c.cycles for c in many], g)]]
        result.append(table(f"Cycles per {what}", bars, note))
    if any(c.refetched for c in many):
        bars = []
        for name, g in zip(names, parts, strict=True):
            again, queries = sum(many[i].refetched for i in g), sum(many[i].queries for i in g)
            bars.append(Bar(name, [("refetched", again / queries if queries else 0)],
                            f'{text.percent(again, queries)} <span class="share">{again:,} of {queries:,}</span>', 1.0))
        result.append(table(f"Query rows that fetched LSBs, per {what}", bars, note))
    return result


def bytes_legend(classes: Sequence[str], dense: bool) -> str:
    """The colours of byte classes."""
    def key(name: str, label: str) -> str:
        return (f'<span class="item"><svg class="key" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">'
                f'<rect class="{name}" width="12" height="12"/></svg> {label}</span> ')
    items = "".join(key(f"c-{c}", text.escape(NAMES.get(c, c))) for c in classes)
    return f'<p class="legend">{items}{key("frame", "dense, 12 bits") if dense else ""}</p>'

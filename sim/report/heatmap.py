"""Rows of cells as inline SVG: tokens by layer (as in the paper's Figure 23), heads by layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from . import levels, text
from .limits import Shown
from .words import alive

#: Pixels.
LEFT, RIGHT, ROW, WIDEST, NARROWEST, ACROSS = 62, 76, 20, 28, 4, 1000
#: Up to so many columns have their words beneath; more have numbers here and there.
WORDS = 70
#: Characters of a word beneath, pixels of one.
LONGEST, CHARACTER = 12, 7.2

#: Fills that a colour cannot be; once per page.
PATTERNS = """\
<svg width="0" height="0" class="defs" aria-hidden="true"><defs><pattern id="hatch" width="5" height="5" \
patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="ground" width="5" height="5"/>\
<rect class="ink" width="1.2" height="5"/></pattern></defs></svg>"""


def cell_class(state: str) -> str:
    """The class of a cell: its level, or that it is pruned or does not exist."""
    if state in levels.LEVELS:
        return f"l{state}"
    return "absent" if state == levels.ABSENT else "cut"


def grid(kind: str, label: str, rows: Sequence[str], counts: Sequence[str], columns: Sequence[str]) -> str:
    """A picture of `rows`, a character per cell, with `counts` at the right and names of `columns` beneath ("": none).

    `kind` is what the script calls it, `label` what a reader who does not see it is told.
    """
    n = len(rows[0])
    step = min(max(ACROSS // n, NARROWEST), WIDEST)
    gap = 1 if step >= 8 else 0
    named = [x for x, name in enumerate(columns) if name]
    apart = step * min((b - a for a, b in pairwise(named)), default=n)
    tilted = CHARACTER * max(map(len, columns)) > apart
    below = 10 + (CHARACTER * max(map(len, columns)) / 2 ** 0.5 + 6 if tilted else 12)
    width, height = LEFT + n * step + RIGHT, len(rows) * ROW + below
    lines = [f'<div class="scroll"><svg class="grid" data-kind="{kind}" role="img" aria-label="{text.escape(label)}" '
             f'viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}">']
    for y, (states, count) in enumerate(zip(rows, counts, strict=True)):
        cells = "".join(f'<rect class="{cell_class(s)}" x="{x * step}" width="{step - gap}" height="{ROW - 1}"/>'
                        for x, s in enumerate(states))
        lines.append(f'<text class="end" x="{LEFT - 8}" y="{y * ROW + 14}">layer {y}</text>'
                     f'<text class="count" x="{LEFT + n * step + 8}" y="{y * ROW + 14}">{count}</text>'
                     f'<g class="r" data-row="{y}" transform="translate({LEFT},{y * ROW})">{cells}</g>')
    for x, name in enumerate(columns):
        if name:
            at = f"{LEFT + x * step + step / 2:.1f}", f"{len(rows) * ROW + (10 if tilted else 14)}"
            place = (f'class="end" transform="translate({at[0]},{at[1]}) rotate(-45)"' if tilted
                     else f'class="middle" x="{at[0]}" y="{at[1]}"')
            lines.append(f"<text {place}>{text.token(name)}</text>")
    return "\n".join([*lines, "</svg></div>"])


def importance(shown: Shown, rows: Sequence[str]) -> str:
    """The heat map of one step; `rows`: a character per token for every layer."""
    columns, tokens = shown.columns, shown.sequence.tokens
    if len(tokens) <= WORDS:
        names = [text.visible(t, LONGEST) for t in tokens]
    else:
        every = next(n for n in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000) if len(tokens) <= 25 * n)
        names = [next((f"{i}" for i in group if i % every == 0), "") for group in columns]
    return grid("tokens", f"importance of {len(tokens)} tokens after each of {len(rows)} layers",
                [levels.merged(r, columns) for r in rows], [alive(r) for r in rows], names)


def heads(rows: Sequence[str]) -> str:
    """The grid of heads of one step; `rows`: a character per K/V head for every layer."""
    every = 1 if len(rows[0]) <= 32 else 8
    names = [f"{h}" if h % every == 0 else "" for h in range(len(rows[0]))]
    return grid("heads", f"importance of {len(rows[0])} heads after each of {len(rows)} layers", rows,
                [alive(r) for r in rows], names)


def legend() -> str:
    """What the colours of cells mean."""
    size = 26
    cells = "".join(f'<rect class="l{c}" x="{i * size}" width="{size}" height="12"/>'
                    + (f'<text class="middle" x="{i * size + size / 2}" y="26">{levels.SCALE[i]}</text>'
                       if i in levels.SCALE else "") for i, c in enumerate(levels.LEVELS))
    width = len(levels.LEVELS) * size
    return (f'<p class="legend">{_key(width, 30, cells)} × the mean of those alive in the layer '
            f'{_key(size, 12, f"""<rect class="cut" width="{size}" height="12"/>""")} pruned</p>')


def _key(width: int, height: int, content: str) -> str:
    return (f'<svg class="key" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
            f"{content}</svg>")

"""The words of a sequence, once per layer, what is pruned struck out (as in the paper's Figure 22)."""

from __future__ import annotations

from collections.abc import Sequence

from . import levels, text
from .limits import Shown

#: From so many tokens on, those gone earlier are folded away at first.
FOLDED = 150
#: The class of a word by its state; the script has the same table.
CLASSES = {levels.NEW: "new", levels.GONE: "gone", levels.ABSENT: "none"}

LEGEND = """\
<p class="legend"><span class="w">takes part</span> <span class="w new">pruned before this layer</span> \
<span class="w gone">gone earlier</span></p>"""


def view(shown: Shown, rows: Sequence[str], number: int) -> str:
    """The view of one step; `rows`: a character per token for every layer of it. `number`: of the sequence."""
    tokens = shown.sequence.tokens
    # Tokens that are characters stand together, as in the text.
    letters = " letters" if 2 * sum(len(t) == 1 for t in tokens) > len(tokens) else ""
    folded = " checked" if len(tokens) > FOLDED else ""
    lines = [LEGEND, f'<input type="checkbox" class="fold" id="fold{number}"{folded}>'
             f'<label for="fold{number}"> leave out words gone earlier</label>', f'<div class="words{letters}">']
    cut = next((i for i, (a, b) in enumerate(zip(shown.words, shown.words[1:], strict=False)) if b != a + 1), None)
    for i in shown.layers:
        if i >= len(rows):
            continue
        spans = []
        for place, token in enumerate(shown.words):
            spans.append(f'<span class="{word_class(rows[i][token])}">{text.token(tokens[token])}</span>')
            if place == cut:
                spans.append("<em>…</em>")
        lines.append(f'<div class="row"><div class="where">layer {i} <span class="count">{alive(rows[i])}</span></div>'
                     f'<div class="line" data-row="{i}">{"".join(spans)}</div></div>')
    return "\n".join([*lines, "</div>"])


def word_class(state: str) -> str:
    """The classes of a word's element."""
    return f"w {CLASSES[state]}" if state in CLASSES else "w"


def alive(states: str) -> str:
    """"14 / 17": those alive of those that exist."""
    count = sum(s in levels.LEVELS for s in states)
    return f"{count:,} / {len(states) - states.count(levels.ABSENT):,}"

"""Text for a page: tokens with their white space made visible, numbers short, everything escaped."""

from __future__ import annotations

import html
import unicodedata

#: What white space looks like.
_SHOWN = {" ": "␣", "\n": "↵", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}


def visible(token: str, most: int = 60) -> str:
    """`token` so that a reader sees every character of it, cut to `most` characters, not escaped."""
    if not token:
        return "∅"
    shown = "".join(map(_character, token[:most + 1]))
    return shown if len(shown) <= most else f"{shown[:most - 1]}…"


def _character(c: str) -> str:
    if c in _SHOWN:
        return _SHOWN[c]
    # Controls, formats, surrogates and what has no assignment: nothing that a browser would draw or could be sent.
    return f"\\u{{{ord(c):x}}}" if unicodedata.category(c)[0] in "CZ" else c


def escape(text: str) -> str:
    """`text` (a title, a label) for element content or a quoted attribute."""
    return html.escape("".join(c if c == " " else _character(c) for c in text))


def token(text: str, most: int = 60) -> str:
    """A token for element content."""
    return html.escape(visible(text, most))


def size(count: float) -> str:
    """Bytes with three significant digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.3g} {unit}"


def percent(part: float, whole: float) -> str:
    """`part` of `whole`, or a dash of nothing."""
    if not whole:
        return "–"
    value = 100 * part / whole
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def plural(count: int, noun: str) -> str:
    """"1 layer", "1,000 layers"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

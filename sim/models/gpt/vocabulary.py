"""The model's alphabet: newline and the printable ASCII characters, one token each.

Id 0 is the newline, ids 1 … 95 are the characters 32 … 126. Any text of a corpus is brought to it by `normalise`;
a prompt is not changed but refused if it has other characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from spatten_hw.errors import UserError

CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))
SIZE = len(CHARACTERS)
_IDS = {c: i for i, c in enumerate(CHARACTERS)}
#: Typography that has an ASCII form but no decomposition to it.
_PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "‐": "-", "–": "-", "—": "-", "•": "*", "·": "*",
                        "→": "->", "≤": "<=", "≥": ">=", "\t": "    ", "\r": "\n"})


def encode(text: str, what: str = "the prompt") -> tuple[int, ...]:
    """Ids of `text`. Raises `UserError` naming the first character that is not in the alphabet."""
    for at, c in enumerate(text):
        if c not in _IDS:
            name = unicodedata.name(c, f"code {ord(c)}")
            raise UserError(f"{what} has the character {c!r} ({name}) at place {at + 1}, which the model "
                            "does not know: use printable ASCII and newlines")
    return tuple(_IDS[c] for c in text)


def decode(ids: Iterable[int]) -> str:
    """The text of `ids`."""
    return "".join(CHARACTERS[i] for i in ids)


def normalise(text: str) -> str:
    """`text` in the alphabet: typography made plain, accents dropped, what is left outside it dropped too."""
    plain = unicodedata.normalize("NFKD", text.replace("\r\n", "\n").translate(_PLAIN))
    return "".join(c for c in plain if c in _IDS)

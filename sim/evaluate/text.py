"""Texts of the evaluation: prose that every Python brings along, or a user's own."""

from __future__ import annotations

import re
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.user_text import read_text

#: Words of a sentence worth comparing.
WORDS = (8, 40)
#: Two and more make a ranking.
LEAST = 3
#: A sentence of prose: words, numbers and the usual marks; no code, no tables, no cross-references.
_PROSE = re.compile(r"[A-Z][A-Za-z0-9 ,;'()-]*[a-z)]\.")
_SPLIT = re.compile(r"(?<=\.)\s+(?=[A-Z])")


def sentences(count: int) -> list[str]:
    """`count` sentences of the language reference in `pydoc_data.topics`, evenly spread over it, none twice.

    The same for every run of a Python version. Raises `UserError` if there are not as many.
    """
    found: dict[str, None] = {}
    for topic in _topics():
        for paragraph in re.split(r"\n\s*\n", topic):
            for sentence in _SPLIT.split(" ".join(paragraph.split())):
                if _PROSE.fullmatch(sentence) and WORDS[0] <= len(sentence.split()) <= WORDS[1]:
                    found[sentence] = None
    every = list(found)
    if count > len(every):
        raise UserError(f"--sentences {count}: Python's documentation has {len(every)} fitting ones; ask for fewer or "
                        "give --text FILE")
    return [every[i * len(every) // count] for i in range(count)]


def documentation() -> str:
    """Python's language reference as one text, its topics in the order of their names."""
    return "\n\n".join(_topics())


def _topics() -> list[str]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise UserError("Python's own pydoc_data.topics, the text of the evaluation, is missing: install Python's "
                        "complete standard library or give --text FILE") from error
    return [topics[name] for name in sorted(topics)]


def lines_of(path: Path, count: int | None) -> list[str]:
    """The user's sentences, one per line, at most the first `count`; repeated and empty lines are left out."""
    lines = list(dict.fromkeys(" ".join(line.split()) for line in read_text(path).splitlines() if line.strip()))
    if len(lines) < LEAST:
        raise UserError(f"{path}: has {len(lines)} different lines, at least {LEAST} are needed; write one sentence "
                        "per line")
    return lines[:count]

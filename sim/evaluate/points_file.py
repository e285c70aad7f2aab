"""Points from a TOML file, each mistake in one line."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spatten_hw.errors import UserError
from spatten_hw.user_text import read_toml

from .point import MODELS, Point, PointError


def read_points(path: Path) -> list[Point]:
    """The points of a TOML file: tables `[[point]]` with the fields of `Point`; a number where a pair is meant holds
    for both; `model` missing: encoder and decoder; `bits` = "float": float64."""
    table = read_toml(path)
    rows = table.pop("point", None)
    if table or not isinstance(rows, list) or not rows or not all(isinstance(r, dict) for r in rows):
        raise UserError(f"{path}: must hold tables [[point]] and nothing else; see spatten-hw evaluate --help")
    points: list[Point] = []
    for i, row in enumerate(rows):
        try:
            for model in MODELS[:2] if "model" not in row else (row["model"],):
                points.append(_point({**row, "model": model}))
        except PointError as error:
            raise UserError(f"{path}: point {i + 1}: {error}") from None
    return points


def _point(row: Mapping[str, object]) -> Point:
    known = {f.name: f.type for f in dataclasses.fields(Point)}
    values: dict[str, object] = {}
    for name, value in row.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean '{near[0]}'?)" if near else f"; fields: {', '.join(known)}"
            raise PointError(f"unknown field '{name}'{hint}")
        values[name] = _value(name, str(known[name]), value)
    return Point(**values)  # type: ignore[arg-type]


def _value(name: str, kind: str, value: object) -> object:
    """`value` as the field has it: numbers are numbers, pairs are pairs of them."""
    if name == "bits" and value == "float":
        return None
    if kind == "bool":
        if not isinstance(value, bool):
            raise PointError(f"{name} = {value!r}: must be true or false")
        return value
    pair = kind.startswith("tuple")
    wanted = {"s": str, "i": int}.get(kind[0], int if "int" in kind else (int, float))
    entries: list[Any] = value if pair and isinstance(value, list) else [value]
    if len(entries) > 2 or not entries or not all(isinstance(x, wanted) and not isinstance(x, bool) for x in entries):
        what = "a string" if kind == "str" else "a whole number" if "int" in kind else "a number"
        raise PointError(f"{name} = {value!r}: must be {what}{', or two in a list' if pair else ''}")
    if not pair:
        return float(entries[0]) if kind.startswith("float") else value
    if name in ("bits", "v_bits"):
        return (entries[0], entries[1] if len(entries) == 2 else 0)
    return float(entries[0]), float(entries[-1])

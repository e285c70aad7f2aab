"""The file of a sweep: TOML, checked as a whole before anything is measured."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.user_text import read_toml

from .area import AREA_FIELDS, AreaChoice
from .fields import SECTIONS, file_name, whole
from .metrics import KINDS, check_metric
from .space import MOST_POINTS, Space
from .values import Choices, choices

#: Columns beside the fields of the sections by which points may be compared.
COLUMNS = ("workload", "memory", "clock_ns")


@dataclass(frozen=True)
class ParetoChoice:
    """Two metrics, each to be as small as can be; points are compared with those that are alike in the columns `by`."""

    x: str
    y: str
    by: tuple[str, ...] = ("workload", "memory")


@dataclass(frozen=True)
class Sweep:
    """What a file asks for. `measure`: kinds of measurement; `space`: what is varied; `draws`: random points, 0: all;
    `area`: how areas are found; `pareto`: what is drawn against what."""

    source: Path
    name: str
    measure: tuple[str, ...]
    space: Space
    draws: int
    seed: int
    area: AreaChoice
    pareto: tuple[ParetoChoice, ...]


def read_sweep(path: Path) -> Sweep:
    """The sweep of a file. Raises `UserError` with the first mistake in one line."""
    table = read_toml(path)
    _known(path, "entry", table, ["name", "measure", "draws", "seed", *SECTIONS, "area", "pareto"])
    name = _one(f"{path}: name", table.get("name", path.stem), file_name)
    measure = table.get("measure", ["model"])
    kinds: list[str] = measure if isinstance(measure, list) else [measure]  # type: ignore[list-item]
    if not kinds or any(kind not in KINDS for kind in kinds) or len(set(map(str, kinds))) < len(kinds):
        raise UserError(f"{path}: measure = {measure!r}: must list what is measured, of {', '.join(KINDS)}, each once")
    space = {section: _alternatives(path, section, table.get(section, {})) for section in SECTIONS}
    for fields in space["workload"]:
        _check_workload(path, fields)
    draws = _one(f"{path}: draws", table.get("draws", 0), whole(0))
    seed = _one(f"{path}: seed", table.get("seed", 1), whole(0))
    assert isinstance(draws, int) and isinstance(seed, int)
    if draws > MOST_POINTS:
        raise UserError(f"{path}: draws = {draws:,}: at most {MOST_POINTS:,} points are measured; give fewer")
    return Sweep(path, str(name), tuple(kinds), space, draws, seed, _area(path, table, kinds),
                 _pareto(path, table.get("pareto", []), kinds))


def _known(path: Path, what: str, names: Iterable[str], known: Iterable[str], where: str = "") -> None:
    listed = list(known)
    for name in names:
        if name not in listed:
            near = difflib.get_close_matches(name, listed, 1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            raise UserError(f"{path}: {where}unknown {what} '{name}'{hint}; known: {', '.join(listed)}")


def _one(where: str, value: object, check) -> object:
    found = choices(where, value, check).listed if not isinstance(value, (list, dict)) else ()
    if len(found) != 1:
        raise UserError(f"{where}: must be a single value")
    return found[0]


def _alternatives(path: Path, section: str, value: object) -> list[dict[str, Choices]]:
    """A table, or several (`[[section]]`), of which a point has one."""
    tables = value if isinstance(value, list) else [value]
    if not tables or not all(isinstance(t, dict) for t in tables):
        raise UserError(f"{path}: {section} must be a table [{section}], or several [[{section}]]")
    found = []
    for number, table in enumerate(tables, 1):
        where = section if len(tables) == 1 else f"{section} {number}"
        _known(path, "field", table, SECTIONS[section], f"{where}: ")
        found.append({name: choices(f"{path}: {where}.{name}", entry, SECTIONS[section][name].check)
                      for name, entry in table.items()})
    return found


def _check_workload(path: Path, fields: Mapping[str, Choices]) -> None:
    """A workload is a case, requests, or a layer of one's own."""
    kinds = [name for name in ("case", "requests", "tokens") if name in fields]
    if len(kinds) != 1:
        raise UserError(f"{path}: workload: must have one of case, requests and tokens (a layer of your own)"
                        + (f", has {' and '.join(kinds)}; use [[workload]] for each" if kinds else ""))
    allowed = {"case": ["case", "heads"], "requests": ["requests", "limit", "order", "heads"],
               "tokens": ["tokens", "dim", "heads", "group", "generate", "causal"]}[kinds[0]]
    for name in fields:
        if name not in allowed:
            raise UserError(f"{path}: workload: {name} does not go with {kinds[0]}; fields with it: "
                            f"{', '.join(allowed)}")
    if kinds[0] == "requests":
        for file in fields["requests"].listed:
            if not Path(str(file)).is_file() and not (path.parent / str(file)).is_file():
                raise UserError(f"{path}: workload.requests: there is no file {file}, beside the sweep or here")


def _area(path: Path, table: Mapping[str, object], kinds: list[str]) -> AreaChoice:
    fields = table.get("area", {})
    if not isinstance(fields, dict):
        raise UserError(f"{path}: area must be a table [area]")
    if fields and "area" not in kinds:
        raise UserError(f'{path}: [area] says how areas are found, but measure has no "area"; add it or remove [area]')
    _known(path, "field", fields, AREA_FIELDS, "area: ")
    values = {name: str(_one(f"{path}: area.{name}", value, AREA_FIELDS[name])) for name, value in fields.items()}
    return AreaChoice.of(str(path), path.parent, **values)


def _pareto(path: Path, value: object, kinds: list[str]) -> tuple[ParetoChoice, ...]:
    tables = value if isinstance(value, list) else None
    if tables is None or not all(isinstance(t, dict) and {"x", "y"} <= set(t) <= {"x", "y", "by"} for t in tables):
        raise UserError(f"{path}: pareto must be tables [[pareto]] with x = METRIC, y = METRIC and, if wanted, "
                        "by = [COLUMN, …]")
    for t in tables:
        for axis in ("x", "y"):
            check_metric(f"{path}: pareto.{axis}", t[axis], kinds)
        by = t.get("by", [])
        if not isinstance(by, list) or not all(isinstance(name, str) for name in by):
            raise UserError(f"{path}: pareto.by = {by!r}: must be a list of columns")
        _known(path, "column", by, [*COLUMNS, *(n for s in SECTIONS.values() for n in s)], "pareto.by: ")
    return tuple(ParetoChoice(t["x"], t["y"], tuple(t["by"])) if "by" in t else ParetoChoice(t["x"], t["y"])
                 for t in tables)

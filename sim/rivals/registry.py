"""Rivals and workloads by name; a file of a user's own adds some (`docs/rivals.md`)."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from spatten_hw.errors import UserError

from .a3 import A3, A3Base
from .benchmarks import Benchmark, benchmarks
from .cpu import CPU
from .dense import Dense
from .layers import Layers
from .mnnfast import MnnFast
from .rival import Rival
from .spatten import SpAtten

#: By name, in the order of tables.
_ALL: tuple[Rival, ...] = (SpAtten(), Dense(), A3Base(), A3(), MnnFast(), CPU())
RIVALS: dict[str, Rival] = {r.name: r for r in _ALL}
#: What a comparison takes unless told: the CPU takes minutes, and no two are alike.
DEFAULT = ("spatten", "dense", "a3-base", "a3", "mnnfast")
WORKLOADS: dict[str, Callable[[], Benchmark]] = {}


def add_rival(rival: Rival) -> None:
    """Makes a rival known, instead of one of this name that was added before. `UserError` for the name of a built-in
    one."""
    _free(rival.name, BUILT_IN, "rival")
    RIVALS[rival.name] = rival


def add_workload(name: str, layers: Callable[[], Layers], source: str) -> None:
    """Makes a workload known, likewise; `layers` is called when it is needed."""
    _free(name, [b.name for b in benchmarks()], "workload")
    WORKLOADS[name] = lambda: Benchmark(name, layers(), source, {})


def workloads() -> dict[str, Callable[[], Benchmark]]:
    """All there are: the paper's benchmarks, then those added."""
    return {b.name: (lambda b=b: b) for b in benchmarks()} | WORKLOADS  # type: ignore[misc]


def chosen_rivals(names: Sequence[str] | None) -> list[Rival]:
    """Those named, or the usual ones and those added. `UserError` for an unknown one."""
    added = [n for n in RIVALS if n not in BUILT_IN]
    return [RIVALS[n] for n in _known("rival", names or [*DEFAULT, *added], RIVALS)]


def chosen_workloads(names: Sequence[str] | None) -> list[Benchmark]:
    """Those named, or those added. `UserError` for an unknown one."""
    all_of_them = workloads()
    return [all_of_them[n]() for n in _known("workload", names or list(WORKLOADS), all_of_them)]


def extend(path: Path) -> None:
    """Runs a user's file, which calls `add_rival` and `add_workload`. `UserError` if there is none, or it fails."""
    if not path.is_file():
        raise UserError(f"--add {path}: there is no such file; give a Python file as docs/rivals.md shows")
    try:
        runpy.run_path(str(path))
    except UserError:
        raise
    except Exception as error:  # a user's code may raise anything
        line = error.__traceback__
        while line is not None and line.tb_next is not None:
            line = line.tb_next
        where = f", line {line.tb_lineno}" if line is not None else ""
        raise UserError(f"--add {path}{where}: {type(error).__name__}: {error}") from error


def _known(what: str, names: Iterable[str], known: Mapping[str, object]) -> list[str]:
    names = list(names)
    for name in names:
        if name not in known:
            raise UserError(f"unknown {what} '{name}'; {what}s: {', '.join(known)}")
    return names


def _free(name: str, built_in: Iterable[str], what: str) -> None:
    if name in built_in:
        raise UserError(f"{what} '{name}' is there already; give another name")


BUILT_IN = frozenset(RIVALS)

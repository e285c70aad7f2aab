"""Rivals and workloads by name; a file of a user's own adds some (`docs/rivals.md`)."""

from __future__ import annotations

import contextlib
import runpy
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from spatten_hw.errors import UserError

from .a3 import A3, A3Base
from .benchmarks import Benchmark, benchmarks
from .cpu import CPU
from .dense import Dense
from .layers import Layers
from .mnnfast import MnnFast
from .rival import Cost, Machine, Rival
from .spatten import SpAtten

#: By name, in the order of tables.
_ALL: tuple[Rival, ...] = (SpAtten(), Dense(), A3Base(), A3(), MnnFast(), CPU())
RIVALS: dict[str, Rival] = {r.name: r for r in _ALL}
#: What a comparison takes unless told: the CPU takes minutes, and no two are alike.
DEFAULT = ("spatten", "dense", "a3-base", "a3", "mnnfast")
#: What every rival has.
PARTS = ("name", "title", "source", "assumptions", "cost")
WORKLOADS: dict[str, Callable[[], Benchmark]] = {}


def add_rival(rival: Rival) -> None:
    """Makes a rival known, instead of one of this name that was added before. `UserError` for the name of a built-in
    one, or if a part is missing."""
    if missing := [part for part in PARTS if not hasattr(rival, part)]:
        raise UserError(f"rival {getattr(rival, 'name', type(rival).__name__)}: has no {', '.join(missing)}; "
                        "docs/rivals.md shows one")
    _free(rival.name, BUILT_IN, "rival")
    RIVALS[rival.name] = rival


def add_workload(name: str, layers: Callable[[], Layers], source: str) -> None:
    """Makes a workload known, likewise; `layers` is called when it is needed."""
    _free(name, [b.name for b in benchmarks()], "workload")
    def made() -> Benchmark:
        with _users(f"workload '{name}'"):
            found = layers()
            if not isinstance(found, Layers):
                raise TypeError(f"its function gives {type(found).__name__}, not Layers")
            return Benchmark(name, found, source, {})
    WORKLOADS[name] = made


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
    with _users(f"--add {path}", str(path)):
        runpy.run_path(str(path))


def cost_of(rival: Rival, layers: Layers, machine: Machine) -> Cost:
    """What layers cost on a rival. `UserError` if one that was added fails, or gives anything but a number per layer,
    cycles above 0."""
    if rival.name in BUILT_IN:
        return rival.cost(layers, machine)
    with _users(f"rival '{rival.name}'"):
        found = rival.cost(layers, machine)
        for name in ("cycles", "bytes", "operations"):
            array = np.asarray(getattr(found, name), dtype=float)
            if array.shape != layers.context.shape or not np.isfinite(array).all() or (array < 0).any():
                raise UserError(f"rival '{rival.name}': {name} of its cost must be a number for each of "
                                f"{layers.context.size} layers, finite and not negative; correct its cost()")
        if not np.all(np.asarray(found.cycles) > 0):
            raise UserError(f"rival '{rival.name}': cycles of its cost must be above 0; correct its cost()")
    return found


@contextlib.contextmanager
def _users(what: str, path: str = "") -> Iterator[None]:
    """A user's code, which may raise anything: it becomes a `UserError` about `what`, with the last line in the file
    `path`, or wherever it was."""
    try:
        yield
    except UserError:
        raise
    except SyntaxError as error:  # of the file itself, or of one that it imports
        named = f", {error.filename}" if error.filename not in (None, path) else ""
        where = f", line {error.lineno}" if error.lineno else ""
        raise UserError(f"{what}{named}{where}: {type(error).__name__}: {error.msg}; correct the file") from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        at = [f for f in frames if f.filename == path] or frames[-1:]
        named = f", {at[-1].filename}" if at[-1].filename != path else ""
        raise UserError(f"{what}{named}, line {at[-1].lineno}: {type(error).__name__}: {' '.join(str(error).split())}; "
                        "correct the file") from error


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

"""What lies in the build folder (`kept.py`): by kind, how large, how old; and its removal.

Only names that this project gives are looked at: the build folder may be one that holds other things, too.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spatten_hw.errors import UserError
from spatten_hw.output import cannot_write

from .kept import build_place, locked, remove_work

LEFTOVERS = "leftovers"
#: Seconds for which unfinished work without a lock counts as somebody's.
YOUNG = 3600
#: What costs more than a few minutes to make again: removed only if it is named.
PRECIOUS = ("models",)
#: (kind, folder, names in it).
_PLACES = (
    (LEFTOVERS, "lib", r"(?:\w+-)?[0-9a-f]{16}\.(?:build|log|\d+)"),
    ("simulations", "lib", r"(?:\w+-)?[0-9a-f]{16}\.(?:so|key|lock)|coverage-[0-9a-f]{16}\.v"),
    ("runtimes", "lib", r"runtime-[\w.-]+"),
    ("runtimes", "", r"runtime2-[\w-]+"),
    ("benches", "bench", r"[0-9a-f]{16}"),
    (LEFTOVERS, "synthesis", r"part-\w+"),
    (LEFTOVERS, "netlist", r"part-\w+"),
    ("netlists", "synthesis", r"\w+-[\w.-]+-[0-9a-f]+"),
    ("netlists", "netlist", r"\w+-[\w.-]+-[0-9a-f]+"),
    ("digests", "digests", r"[0-9a-f]{16}"),
    ("models", "gpt", r"[0-9a-f]{16}\.npz"),
)
KINDS = tuple(dict.fromkeys(kind for kind, _, _ in _PLACES))


@dataclass(frozen=True)
class Entry:
    """A file or folder of the cache. `size`: bytes of all that is in it; `time`: of its last change, in seconds of the
    epoch."""

    kind: str
    path: Path
    size: int
    time: float


def entries() -> list[Entry]:
    """Everything of ours in the build folder, in the order of `KINDS`."""
    found = [Entry(kind, path, _size(path), path.lstat().st_mtime) for kind, folder, names in _PLACES
             for path in sorted(_listed(build_place() / folder)) if re.fullmatch(names, path.name)]
    return sorted(found, key=lambda entry: KINDS.index(entry.kind))


def clear(kinds: Sequence[str]) -> tuple[list[Entry], list[Path]]:
    """Removes what is of these kinds. Returns what went, and what a process is building now and therefore stays. Raises
    `UserError` if something cannot be removed; what went before it is gone."""
    gone, busy = [], []
    for entry in entries():
        if entry.kind in kinds:
            try:
                with _unused(entry):
                    _remove(entry.path)
                gone.append(entry)
            except BlockingIOError:
                busy.append(entry.path)
            except OSError as error:
                raise UserError(cannot_write(entry.path, error, "remove it as somebody who may")) from error
    return gone, busy


@contextlib.contextmanager
def _unused(entry: Entry) -> Iterator[None]:
    """`BlockingIOError` if a build is going on that makes this, or needs it."""
    path = entry.path
    if entry.kind == "runtimes":
        if _building():
            raise BlockingIOError
    elif _unfinished(path) and time.time() - entry.time < YOUNG:
        raise BlockingIOError
    lock = path.with_suffix(".lock")
    if path.parent.name != "lib" or entry.kind == "runtimes" or not lock.exists():
        yield
        return
    with locked(lock, block=False):
        yield


def _unfinished(path: Path) -> bool:
    """Work that has no lock: a test bench or a netlist that is not complete."""
    return (path.parent.name == "bench" and not (path / "done").exists()) or path.name.startswith("part-")


def _building() -> bool:
    """Whether anything is being compiled that what all share is for."""
    for path in _listed(build_place() / "lib"):
        if path.suffix == ".lock":
            try:
                with locked(path, block=False):
                    pass
            except BlockingIOError:
                return True
    return any(entry.kind == "benches" and _unfinished(entry.path) and time.time() - entry.time < YOUNG
               for entry in entries())


def _remove(path: Path) -> None:
    if path.suffix == ".build":
        remove_work(path)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from error


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what goes away meanwhile counts nothing."""
    whole = path.rglob("*") if path.is_dir() else [path]
    total = 0
    for part in whole:
        with contextlib.suppress(OSError):
            if not part.is_dir():
                total += part.lstat().st_size
    return total

"""What takes long to build is built once, and kept under a name that says all that went into it.

Where: $SPATTEN_BUILD, else `.build/` of a source checkout, else the user's cache folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from .verilator import ToolError

ROOT = Path(__file__).resolve().parents[2]


def build_dir() -> Path:
    """Where built things are kept. Raises `ToolError` if it cannot be made."""
    if os.environ.get("SPATTEN_BUILD"):
        path = Path(os.environ["SPATTEN_BUILD"])
    elif (ROOT / "pyproject.toml").exists() and os.access(ROOT, os.W_OK):
        path = ROOT / ".build"
    else:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spatten-hw"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"cannot make the build folder {path}: {error.strerror}; set SPATTEN_BUILD") from error
    return path


def library_dir() -> Path:
    """The part of it for compiled libraries."""
    path = build_dir() / "lib"
    path.mkdir(exist_ok=True)
    return path


def library(name: str, make: Callable[[Path], Path]) -> Path:
    """The library `name`.so. If there is none yet, `make` is given an empty folder to work in, which goes afterwards,
    and returns the library that it has made there. Two processes never make the same one at once, and none sees half of
    one."""
    folder = library_dir()
    path = folder / f"{name}.so"
    if path.exists():
        return path
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            work = folder / f"{name}.build"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            make(work).rename(path)
            shutil.rmtree(work, ignore_errors=True)
    return path


class Shortcut:
    """A quicker name of a library: a hash of the sources of what makes it, instead of what they make. If those are
    unchanged, no Verilog is generated to learn that it is, too."""

    def __init__(self, name: str):
        self._key = library_dir() / f"{name}.key"

    def library(self) -> Path | None:
        """The library, if it has been made of these sources and is still there."""
        path = self._key.parent / self._key.read_text() if self._key.exists() else None
        return path if path and path.exists() else None

    def leads_to(self, library: Path) -> None:
        """Notes which library it is."""
        write_atomically(self._key, library.name)


def write_atomically(path: Path, text: str) -> None:
    """Writes a file that others may be reading: they see the old text or all of the new."""
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(text)
    part.rename(path)

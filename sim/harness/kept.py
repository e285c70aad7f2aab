"""What takes long to build is built once, and kept under a name that says all that went into it.

Where: $SPATTEN_BUILD, else `.build/` of a source checkout, else the user's cache folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from spatten_hw.output import NO_ROOM, cannot_write
from spatten_hw.source_tree import checkout

from .errors import ToolError
from .plain_paths import is_plain, plain_temporary

#: What to do about a build folder in which nothing can be built.
REMEDY = "set SPATTEN_BUILD to a folder that can be written"


def build_dir() -> Path:
    """Where built things are kept, an absolute path. Raises `ToolError` if it cannot be made."""
    return _made(build_place())


def build_place() -> Path:
    """The absolute path of `build_dir`, whether it exists or not."""
    if os.environ.get("SPATTEN_BUILD"):
        return Path(os.environ["SPATTEN_BUILD"]).expanduser().absolute()
    if (root := checkout()) is not None and os.access(root, os.W_OK):
        return root / ".build"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spatten-hw"


def library_dir() -> Path:
    """The part of it for compiled libraries."""
    return _made(build_dir() / "lib")


def _made(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"cannot make the build folder {path}: {error.strerror}; {REMEDY}") from error
    return path


def library(name: str, make: Callable[[Path], Path]) -> Path:
    """The library `name`.so. If there is none yet, `make` is given an empty folder to work in, which goes afterwards,
    and returns the library that it has made there. Two processes never make the same one at once, and none sees half of
    one. Raises `ToolError` if it cannot be written."""
    folder = library_dir()
    path = folder / f"{name}.so"
    if path.exists():
        return path
    try:
        with locked(folder / f"{name}.lock"):
            if not path.exists():
                _remove_abandoned(folder)
                with _work_folder(folder / f"{name}.build") as work:
                    _move(make(work), path)
                path.with_suffix(".log").unlink(missing_ok=True)
    except OSError as error:
        # `write` names no file.
        place = path if error.errno in NO_ROOM or error.filename is None else Path(error.filename)
        raise ToolError(cannot_write(place, error, REMEDY)) from error
    return path


def load(path: Path) -> ctypes.CDLL:
    """The library of that file, in this process. Raises `ToolError` if the file is damaged."""
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise ToolError(f"{path}: cannot be loaded ({error}); delete it, and it is built again") from error


@contextlib.contextmanager
def locked(path: Path, block: bool = True) -> Iterator[None]:
    """Within, this process alone has the lock; if another has it and `block` is false, `BlockingIOError`. Whoever has
    it may delete the file: who waited for it then takes a new one."""
    while True:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if block else fcntl.LOCK_NB))
            if _is(path, lock.fileno()):
                yield
                return


def _is(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one that has this path now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_abandoned(folder: Path) -> None:
    """Removes the work of builds that were killed: nobody has their lock."""
    for work in folder.glob("*.build"):
        with contextlib.suppress(OSError), locked(work.with_suffix(".lock"), block=False):
            remove_work(work)


@contextlib.contextmanager
def _work_folder(work: Path) -> Iterator[Path]:
    """An empty folder for a build, `work` or what stands for it where make cannot use that path; gone afterwards,
    whatever happens."""
    remove_work(work)
    try:
        if is_plain(work):
            work.mkdir()
        else:
            # A link, so that a build that was killed is found like any other.
            work.symlink_to(tempfile.mkdtemp(prefix="spatten-hw-", dir=plain_temporary(work)))
        yield work if is_plain(work) else work.readlink()
    finally:
        remove_work(work)


def remove_work(work: Path) -> None:
    """Removes the folder of a build, and what it stands for."""
    if work.is_symlink():
        shutil.rmtree(work.readlink(), ignore_errors=True)
        work.unlink()
    else:
        shutil.rmtree(work, ignore_errors=True)


def _move(made: Path, path: Path) -> None:
    """Puts a finished file where it is kept, at once for whoever looks there, though it may be on another disk."""
    part = path.with_suffix(f".{os.getpid()}")
    try:
        shutil.move(made, part)
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


class Shortcut:
    """A quicker name of a library: a hash of the sources of what makes it, instead of what they make. If those are
    unchanged, no Verilog is generated to learn that it is, too."""

    def __init__(self, name: str):
        self._key = library_dir() / f"{name}.key"

    def library(self) -> Path | None:
        """The library, if it has been made of these sources and is still there."""
        try:
            path = self._key.parent / self._key.read_text()
        except (OSError, UnicodeDecodeError):
            return None
        return path if path.is_file() else None

    def leads_to(self, library: Path) -> None:
        """Notes which library it is. Where that cannot be written the library is found by its own name, later."""
        with contextlib.suppress(OSError):
            write_atomically(self._key, library.name)


def write_atomically(path: Path, text: str) -> None:
    """Writes a file that others may be reading: they see the old text or all of the new."""
    part = path.with_suffix(f".{os.getpid()}")
    try:
        part.write_text(text)
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
